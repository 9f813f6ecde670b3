package tracing

import (
	"context"
	"log/slog"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// said is an exporter whose failures are logged: each cause once, until one goes well.
// The SDK would hand them to a handler that is global to the process.
type said struct {
	exporter sdktrace.SpanExporter
	log      *slog.Logger

	mu   sync.Mutex
	last string
}

// ExportSpans implements sdktrace.SpanExporter.
func (s *said) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := s.exporter.ExportSpans(ctx, spans)
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	changed := text != s.last
	s.last = text
	s.mu.Unlock()
	switch {
	case changed && err != nil:
		s.log.Warn("spans can't be exported and are dropped; publishing goes on", "error", err, "spans", len(spans), "next", "see tracing.endpoint, and whether an OTLP receiver listens there")
	case changed:
		s.log.Info("spans are exported again")
	}
	return nil // it is said
}

// Shutdown implements sdktrace.SpanExporter.
func (s *said) Shutdown(ctx context.Context) error { return s.exporter.Shutdown(ctx) }
