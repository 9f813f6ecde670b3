package consumerotel_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumerotel"
)

const parent = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"

func event(id, topic, parent string) *consumer.Message {
	m := &consumer.Message{Message: binjet.Message{ID: id, Topic: topic, Payload: []byte("x")}}
	if parent != "" {
		m.Headers = binjet.Headers{"traceparent": {parent}}
	}
	return m
}

func newConsumer(t *testing.T) (*consumer.Consumer, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	cfg := consumer.Config{Name: "billing", Logger: slog.New(slog.DiscardHandler)}
	consumerotel.Instrument(&cfg, consumerotel.Options{Provider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))})
	c, err := consumer.NewOffline(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, recorder
}

// Each attempt hangs on the insert's span and is in the handler's context.
func TestAttempts(t *testing.T) {
	c, recorder := newConsumer(t)
	var inside []trace.SpanContext
	c.Handle("orders.*", func(ctx context.Context, m *consumer.Message) error {
		inside = append(inside, trace.SpanContextFromContext(ctx))
		switch m.ID {
		case "fail":
			return errors.New("no")
		case "panic":
			panic("oh")
		}
		return nil
	})
	if _, err := c.Try(t.Context(), event("1", "orders.paid", parent), event("fail", "orders.paid", parent), event("panic", "orders.paid", ""), event("1", "orders.paid", parent)); err != nil {
		t.Fatal(err)
	}
	spans := recorder.Ended()
	if len(spans) != 4 {
		t.Fatalf("%d spans", len(spans))
	}
	for i, want := range []struct {
		outcome string
		code    codes.Code
		child   bool
	}{{"handled", codes.Unset, true}, {"retried", codes.Error, true}, {"retried", codes.Error, false}, {"duplicate", codes.Unset, true}} {
		s := spans[i]
		outcome := ""
		for _, a := range s.Attributes() {
			if a.Key == "binjet.outcome" {
				outcome = a.Value.AsString()
			}
		}
		isChild := s.Parent().SpanID().String() == "0102030405060708" && s.SpanContext().TraceID().String() == "0102030405060708090a0b0c0d0e0f10"
		if s.Name() != "process orders.paid" || s.SpanKind() != trace.SpanKindConsumer || s.Status().Code != want.code || outcome != want.outcome || isChild != want.child {
			t.Errorf("%d: %s is %s, %v, child %v", i, s.Name(), outcome, s.Status(), isChild)
		}
		if i < len(inside) && !inside[i].Equal(s.SpanContext()) {
			t.Errorf("%d: the handler's context has %v", i, inside[i])
		}
	}
	if len(spans[2].Events()) != 1 {
		t.Error("the panic is not in its span")
	}
}

// A run of a batch is linked to all of its messages, and the child of none.
func TestBatches(t *testing.T) {
	c, recorder := newConsumer(t)
	c.HandleBatch("t", consumer.BatchOptions{}, func(ctx context.Context, msgs []*consumer.Message) error { return nil })
	if _, err := c.Try(t.Context(), event("1", "t", parent), event("2", "t", ""), event("3", "t", parent)); err != nil {
		t.Fatal(err)
	}
	spans := recorder.Ended()
	if len(spans) != 1 || len(spans[0].Links()) != 2 || spans[0].Parent().IsValid() || spans[0].Name() != "process t" || spans[0].Status().Code != codes.Unset {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
}
