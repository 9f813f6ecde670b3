package observe

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumerotel"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/producerotel"
)

// receiver is an OTLP receiver that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
	names map[string]bool // of services
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{names: make(map[string]bool)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var got collector.ExportTraceServiceRequest
		if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, &got) != nil {
			t.Errorf("%s of %d bytes is no export of spans: %v", req.URL.Path, len(body), err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, of := range got.ResourceSpans {
			for _, a := range of.Resource.Attributes {
				r.names[a.Key+"="+a.Value.GetStringValue()] = true
			}
			for _, scope := range of.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []*otlp.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*otlp.Span(nil), r.spans...)
}

// TestObserved: one trace from the insert over the streamer to the handler, and metrics
// that an account with REPLICATION SLAVE is enough for.
func TestObserved(t *testing.T) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			sent := newReceiver(t)
			w := newWorld(t, flavor, sent.URL)
			w.eventually("a leader that follows the binlog", w.follows)
			traces(w, sent)
			metrics(w)
		})
	}
}

func traces(w *world, sent *receiver) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	pc := producer.Config{}
	producerotel.Instrument(&pc, producerotel.Options{Provider: provider})
	out, err := producer.New(pc)
	must(w.T, err)
	cc := consumer.Config{Name: "billing", Logger: slog.New(slog.DiscardHandler)}
	consumerotel.Instrument(&cc, consumerotel.Options{Provider: provider})
	c, err := consumer.New(w.js, cc)
	must(w.T, err)
	handled := make(chan *consumer.Message, 10)
	c.Handle("orders.*", func(_ context.Context, m *consumer.Message) error { handled <- m; return nil })
	ctx, stop := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()

	root, request := provider.Tracer("test").Start(w.Context(), "POST /orders")
	must(w.T, out.Insert(root, w.db, &binjet.Message{Topic: "orders.created", Payload: []byte("{}")}))
	request.End()
	plain, err := producer.New(producer.Config{})
	must(w.T, err)
	must(w.T, plain.Insert(w.Context(), w.db, &binjet.Message{Topic: "orders.quiet", Payload: []byte("{}")})) // no trace
	<-handled
	<-handled
	stop()
	must(w.T, <-done)
	w.eventually("the streamer's span", func() bool { return len(sent.got()) > 0 })

	by := make(map[string]tracetest.SpanStub)
	for _, s := range spans.GetSpans() {
		by[s.Name] = s
	}
	create, process, send := by["create orders.created"], by["process orders.created"], sent.got()[0]
	trace := request.SpanContext().TraceID()
	if create.Parent.SpanID() != request.SpanContext().SpanID() || create.SpanContext.TraceID() != trace {
		w.Errorf("the insert hangs on %v", create.Parent)
	}
	if process.Parent.SpanID() != create.SpanContext.SpanID() || process.SpanContext.TraceID() != trace {
		w.Errorf("the handler hangs on %v", process.Parent)
	}
	createID := create.SpanContext.SpanID()
	if send.Name != "send orders.created" || string(send.ParentSpanId) != string(createID[:]) || string(send.TraceId) != string(trace[:]) || send.EndTimeUnixNano < send.StartTimeUnixNano {
		w.Errorf("the streamer's is %v", send)
	}
	if n := len(sent.got()); n != 1 {
		w.Errorf("%d spans of one event that has a trace", n)
	}
	sent.mu.Lock()
	defer sent.mu.Unlock()
	if !sent.names["service.name=binjet"] || !sent.names["binjet.source=shop"] {
		w.Errorf("the streamer says it is %v", sent.names)
	}
}

// value is that of a metric's first series.
func (w *world) value(text, name string) float64 {
	w.Helper()
	_, rest, found := strings.Cut(text, "\n"+name+"{")
	_, rest, _ = strings.Cut(rest, "} ")
	number, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(number, 64)
	if !found || err != nil {
		w.Errorf("no %s in\n%s", name, text)
	}
	return v
}

func metrics(w *world) {
	w.eventually("the answers of the source", func() bool {
		text := w.get("/metrics")
		return strings.Contains(text, "\nbinjet_source_oldest_binlog_timestamp_seconds{") && strings.Contains(text, "\nbinjet_dead_letters{")
	})
	text := w.get("/metrics")
	for name, want := range map[string]float64{
		"binjet_events_published_total": 2, "binjet_commit_to_published_seconds_count": 2, "binjet_backlog_transactions": 0, "binjet_backlog_bytes": 0,
		"binjet_source_binlog_keep_seconds": 86400, "binjet_dead_letters": 0, "binjet_takeovers_total": 1, "binjet_ready": 1, "binjet_survey_failures_total": 0,
	} {
		if got := w.value(text, name); got != want {
			w.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if left := w.value(text, "binjet_position_purge_seconds"); left < 86000 || left > 86400 {
		w.Errorf("the position is purged in %v s", left)
	}
	began := time.Unix(int64(w.value(text, "binjet_source_oldest_binlog_timestamp_seconds")), 0)
	if age := time.Since(began); age < -time.Minute || age > 365*24*time.Hour {
		w.Errorf("the oldest binlog was begun at %s", began)
	}
}
