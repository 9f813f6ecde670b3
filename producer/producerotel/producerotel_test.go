package producerotel_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/producerotel"
	"github.com/binjet/binjet/producer/producertest"
)

func TestSpans(t *testing.T) {
	for name, inject := range map[string]func(context.Context, binjet.Headers){
		"alone": nil,
		"beside Inject": func(ctx context.Context, h binjet.Headers) {
			propagation.TraceContext{}.Inject(ctx, h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
			cfg := producer.Config{Inject: inject}
			producerotel.Instrument(&cfg, producerotel.Options{Provider: provider})
			out, err := producer.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			db := producertest.NewDB(t)
			ctx, parent := provider.Tracer("test").Start(t.Context(), "POST /orders")
			own := "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"
			first, second := &binjet.Message{Topic: "orders.created", Payload: []byte("12345")}, &binjet.Message{Topic: "orders.paid", Payload: []byte("1")}
			kept := &binjet.Message{Topic: "orders.old", Payload: []byte("1"), Headers: binjet.Headers{"traceparent": {own}}}
			if err := out.Insert(ctx, db, first, second, kept); err != nil {
				t.Fatal(err)
			}
			spans := recorder.Ended()
			if len(spans) != 2 {
				t.Fatalf("%d spans, want one for each event that has no trace of its own", len(spans))
			}
			for i, m := range []*binjet.Message{first, second} {
				span := spans[i]
				row := producertest.RequireInserted(t, db, producertest.ID(m.ID))
				got := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(t.Context(), row.Headers))
				if span.Name() != "create "+m.Topic || span.SpanKind() != trace.SpanKindProducer || span.Parent().SpanID() != parent.SpanContext().SpanID() || got.SpanID() != span.SpanContext().SpanID() {
					t.Errorf("%s, and the row has %v", span.Name(), got)
				}
			}
			producertest.RequireInserted(t, db, producertest.ID(kept.ID), producertest.Header("traceparent", own))
		})
	}
}
