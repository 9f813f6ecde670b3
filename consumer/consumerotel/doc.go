// Package consumerotel makes OpenTelemetry spans of handlers. Package consumer itself
// knows no tracing, and this package only OpenTelemetry's API: the SDK and the exporter
// are the service's.
//
//	cfg := consumer.Config{Name: "billing"}
//	consumerotel.Instrument(&cfg, consumerotel.Options{})
//	c, err := consumer.New(js, cfg)
//
// Each attempt has a span "process <topic>" of kind consumer. It is a child of the span
// that the event's traceparent names, which is that of the insert: so insert,
// publishing and handling are one trace, and retries are siblings. The span covers the
// inbox, the handler and the commit, and is in the handler's context.
//
// A handler of batches has one span for each of its runs, with a link to each event's
// context and no parent among them, as the conventions for messaging say.
package consumerotel
