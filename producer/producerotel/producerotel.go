package producerotel

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
)

const scope = "github.com/binjet/binjet/producer/producerotel"

// Options of [Instrument]. The zero value is ready for use.
type Options struct {
	// Provider makes the tracer. Default: otel.GetTracerProvider(), when Instrument is called.
	Provider trace.TracerProvider
	// Propagator writes the context into the headers. Default: W3C Trace Context,
	// whatever the global one is, since binjet's other parts read that.
	Propagator propagation.TextMapPropagator
	// Attributes are added to every span. Default: none.
	Attributes []attribute.KeyValue
}

// Instrument adds a middleware to cfg, in front of those that are there: what they
// encrypt or rename is traced by its own topic.
func Instrument(cfg *producer.Config, o Options) {
	if o.Provider == nil {
		o.Provider = otel.GetTracerProvider()
	}
	if o.Propagator == nil {
		o.Propagator = propagation.TraceContext{}
	}
	t := &tracer{Options: o, tracer: o.Provider.Tracer(scope)}
	cfg.Middleware = append([]producer.Middleware{t.create}, cfg.Middleware...)
}

type tracer struct {
	Options
	tracer trace.Tracer
}

// create makes the span of one event. It has no duration to speak of: its place in
// the trace is what matters.
func (t *tracer) create(ctx context.Context, m *binjet.Message) error {
	for _, name := range t.Propagator.Fields() {
		if len(m.Headers[name]) > 0 && !t.injected(ctx, name, m.Headers) {
			return nil
		}
	}
	ctx, span := t.tracer.Start(ctx, "create "+m.Topic, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"),
		semconv.MessagingOperationName("create"),
		semconv.MessagingOperationTypeCreate,
		semconv.MessagingDestinationName(m.Topic),
		semconv.MessagingMessageID(m.ID),
		semconv.MessagingMessageBodySize(len(m.Payload)),
	), trace.WithAttributes(t.Attributes...))
	defer span.End()
	t.Propagator.Inject(ctx, m.Headers)
	return nil
}

// injected reports whether a header is what producer.Config.Inject wrote from the same
// context, and not the message's own.
func (t *tracer) injected(ctx context.Context, name string, h binjet.Headers) bool {
	of := binjet.Headers{}
	t.Propagator.Inject(ctx, of)
	return of.Get(name) == h.Get(name)
}
