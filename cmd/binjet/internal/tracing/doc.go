// Package tracing makes the streamer's spans, one for each event of a trace: it begins
// when the transaction committed in the source and ends when the event is in the stream.
//
// It hangs on the insert's span, which the row's traceparent names, and never rewrites
// that: what a handler gets is what the service wrote, with tracing and without.
// Events without a sampled trace cost one look into their headers.
package tracing
