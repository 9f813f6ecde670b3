package produce

import (
	"context"
	"testing"

	jsm "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumertest"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/cloudevents"
	"github.com/binjet/binjet/producer/producertest"
)

// The trace context of OpenTelemetry is taken from the context, by what
// Config.Inject says, and nothing is added where there is none.
func TestOpenTelemetry(t *testing.T) {
	db := producertest.NewDB(t)
	p := newProducer(t, producer.Config{Inject: func(ctx context.Context, h binjet.Headers) {
		propagation.TraceContext{}.Inject(ctx, h)
	}})
	state, err := trace.ParseTraceState("vendor=a:b")
	must(t, err)
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state,
	})
	traced, plain := event(1), event(2)
	must(t, p.Insert(trace.ContextWithSpanContext(t.Context(), span), db, traced))
	must(t, p.Insert(t.Context(), db, plain))
	producertest.RequireInserted(t, db, producertest.ID(traced.ID),
		producertest.Header("traceparent", "00-01000000000000000000000000000000-0200000000000000-01"), producertest.Header("tracestate", "vendor=a:b"))
	if m := producertest.RequireInserted(t, db, producertest.ID(plain.ID)); m.Headers != nil {
		t.Errorf("headers %v", m.Headers)
	}
	// A handler finds the same span in what it gets.
	m := producertest.RequireInserted(t, db, producertest.ID(traced.ID))
	if got := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(t.Context(), m.Headers)); !got.Equal(span.WithRemote(true)) {
		t.Errorf("got %v", got)
	}
}

// A span around a handler hangs on the insert's, through the row and the stream.
func TestOpenTelemetryInHandlers(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	t.Cleanup(func() { must(t, provider.Shutdown(context.WithoutCancel(t.Context()))) })
	tracer := provider.Tracer("test")

	db := producertest.NewDB(t)
	p := newProducer(t, producer.Config{Inject: func(ctx context.Context, h binjet.Headers) {
		propagation.TraceContext{}.Inject(ctx, h)
	}})
	ctx, insert := tracer.Start(t.Context(), "insert")
	must(t, p.Insert(ctx, db, event(1)))
	insert.End()

	c := consumertest.Runner{Config: consumer.Config{Hooks: consumer.Hooks{
		Context: func(ctx context.Context, m *consumer.Message) context.Context {
			from := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, m.Headers))
			ctx, _ = tracer.Start(ctx, "handle "+m.Topic, trace.WithLinks(trace.Link{SpanContext: from}))
			return ctx
		},
	}}}
	out := c.Run(t, func(ctx context.Context, m *consumer.Message) error {
		trace.SpanFromContext(ctx).End()
		return nil
	}, &consumer.Message{Message: *producertest.RequireInserted(t, db)})
	if out.Kind != consumer.Handled {
		t.Fatal(out.Err)
	}
	got := spans.GetSpans()
	if len(got) != 2 || got[1].Name != "handle "+event(1).Topic || len(got[1].Links) != 1 ||
		!got[1].Links[0].SpanContext.Equal(insert.SpanContext().WithRemote(true)) {
		t.Errorf("spans %+v", got)
	}
}

// What producer/cloudevents writes is an event for the SDK of CloudEvents, whose
// receiver takes the headers of a NATS message. (It does not decode them, so the
// values here have nothing to encode.)
func TestCloudEventsSDK(t *testing.T) {
	db := producertest.NewDB(t)
	events, err := cloudevents.New(cloudevents.Config{Source: "/shop/orders"})
	must(t, err)
	m := event(1)
	cloudevents.Extension("tenant", "acme")(m)
	must(t, newProducer(t, producer.Config{Middleware: []producer.Middleware{events}}).Insert(t.Context(), db, m))
	row := producertest.RequireInserted(t, db)
	msg := nats.NewMsg("outbox.orders.created")
	msg.Data = row.Payload
	msg.Header.Set(binjet.HeaderContentType, row.ContentType)
	for name, values := range row.Headers {
		msg.Header[name] = values
	}
	e, err := binding.ToEvent(t.Context(), jsm.NewMessage(msg))
	must(t, err)
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.ID() != m.ID || e.Source() != "/shop/orders" || e.Type() != "orders.created" || e.Subject() != "1" || e.SpecVersion() != "1.0" ||
		e.DataContentType() != "text/plain" || e.Time().IsZero() || e.Extensions()["tenant"] != "acme" || string(e.Data()) != "1" {
		t.Errorf("got %s", e)
	}
}
