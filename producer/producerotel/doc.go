// Package producerotel makes OpenTelemetry spans of inserts, and puts their context
// into the events. Package producer itself knows no tracing, and this package only
// OpenTelemetry's API: the SDK and the exporter are the service's.
//
//	cfg := producer.Config{}
//	producerotel.Instrument(&cfg, producerotel.Options{})
//	out, err := producer.New(cfg)
//
// Each event gets a span "create <topic>" of kind producer, below the span of the
// context that Insert is given, and its traceparent and tracestate stand in the row.
// binjet run's span of publishing and a handler's span (consumer/consumerotel) hang on
// it, so one trace has them all: docs/tracing.md. A span says that the row was
// inserted, not that it committed: what is rolled back has a span without successors.
//
// An event that sets a traceparent itself keeps it, and gets no span. Where the trace
// is not to have a span of its own for each event, producer.Config.Inject with a
// propagator is enough.
package producerotel
