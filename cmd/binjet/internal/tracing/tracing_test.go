package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sampled   = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"
	unsampled = "00-0102030405060708090a0b0c0d0e0f11-0102030405060708-00"
)

func event(id, parent string) *nats.Msg {
	msg := &nats.Msg{Subject: "outbox.orders", Header: nats.Header{binjet.HeaderID: {id}, binjet.HeaderTopic: {"orders"}, binjet.HeaderTx: {"0-1-7"}}}
	if parent != "" {
		msg.Header[traceparent] = []string{parent}
	}
	return msg
}

// A span for each event of a sampled trace, from the commit to the stream, below the
// insert's; none for any other event, and the event is left as it is.
func TestPublished(t *testing.T) {
	memory := tracetest.NewInMemoryExporter()
	tr := newTracer(memory, nil, Config{Share: 1, Log: slog.New(slog.DiscardHandler)})
	defer tr.Close()
	now := time.Unix(1000, 0)
	tr.now = func() time.Time { return now }
	called := false
	hooks := tr.Hooks(relay.Hooks{Committed: func(relay.Commit) { called = true }})
	hooks.Committed(relay.Commit{Parts: []relay.Part{
		{Committed: now.Add(-time.Second), Messages: []*nats.Msg{event("a", sampled), event("b", unsampled), event("c", ""), event("d", "garbage")}},
		{Committed: now.Add(time.Hour), Messages: []*nats.Msg{event("e", sampled)}}, // the source's clock is ahead
	}})
	hooks.Committed(relay.Commit{}) // a heartbeat
	if err := tr.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := memory.GetSpans()
	if !called || len(spans) != 2 {
		t.Fatalf("%d spans, the hook before was called: %v", len(spans), called)
	}
	a, e := spans[0], spans[1]
	if a.Name != "send orders" || a.SpanKind != trace.SpanKindClient || a.EndTime.Sub(a.StartTime) != time.Second || e.EndTime != e.StartTime ||
		a.Parent.SpanID().String() != "0102030405060708" || a.SpanContext.TraceID().String() != "0102030405060708090a0b0c0d0e0f10" {
		t.Errorf("%+v", a)
	}
}

// The share is of traces, so that a trace has all of its spans or none; and it may change.
func TestShare(t *testing.T) {
	memory := tracetest.NewInMemoryExporter()
	tr := newTracer(memory, nil, Config{Share: 0, Log: slog.New(slog.DiscardHandler)})
	defer tr.Close()
	for share, spans := range []int{0, 1} { // all of none, and all of all
		tr.SetShare(float64(share))
		tr.published(relay.Commit{Parts: []relay.Part{{Messages: []*nats.Msg{event("a", sampled)}}}})
		if err := tr.provider.ForceFlush(t.Context()); err != nil || len(memory.GetSpans()) != spans {
			t.Errorf("a share of %d: %v, %d spans", share, err, len(memory.GetSpans()))
		}
	}
}

// Without being asked for there is no tracer, and that one does nothing.
func TestOff(t *testing.T) {
	for name, env := range map[string][2]string{"unset": {"OTEL_EXPORTER_OTLP_ENDPOINT", ""}, "disabled": {"OTEL_SDK_DISABLED", "true"}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(env[0], env[1])
			endpoint := ""
			if name == "disabled" {
				endpoint = "http://127.0.0.1:4318"
			}
			tr, err := New(t.Context(), Config{Endpoint: endpoint})
			if err != nil || tr != nil {
				t.Fatalf("%v, %v", tr, err)
			}
			if h := tr.Hooks(relay.Hooks{}); h.Committed != nil {
				t.Error("it hooks in")
			}
			tr.Close()
		})
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
	tr, err := New(t.Context(), Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil || tr == nil {
		t.Fatalf("by the environment: %v, %v", tr, err)
	}
	tr.Close()
}

// failing exports nothing, for a reason.
type failing struct{ err error }

func (f *failing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return f.err }
func (f *failing) Shutdown(context.Context) error                             { return nil }

func TestFailuresAreSaidOnce(t *testing.T) {
	var log bytes.Buffer
	f := &failing{}
	s := &said{exporter: f, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, err := range []error{nil, errors.New("refused"), errors.New("refused"), errors.New("other"), nil, nil} {
		f.err = err
		if s.ExportSpans(t.Context(), nil) != nil {
			t.Error("the SDK is told, too")
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 3 || strings.Count(log.String(), "error=refused") != 1 || !strings.Contains(log.String(), "exported again") {
		t.Errorf("%s", log.String())
	}
}
