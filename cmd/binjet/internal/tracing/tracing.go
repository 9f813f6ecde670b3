package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/relay"
)

const scope = "github.com/binjet/binjet/cmd/binjet"

// stopTimeout bounds the export of the last spans.
const stopTimeout = 3 * time.Second

// Config of a [Tracer].
type Config struct {
	// Endpoint is the URL of an OTLP receiver (HTTP), as http://127.0.0.1:4318. Empty: as
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT say, and without
	// these there is no tracing.
	Endpoint string
	// Share of the sampled traces that get the streamer's spans, from 0 to 1.
	Share float64
	// Source and Version are the resource's.
	Source, Version string
	Log             *slog.Logger
}

// on reports whether anything asks for tracing.
func (c Config) on() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	return c.Endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// Tracer makes spans of what was published. A nil one does nothing.
type Tracer struct {
	share    *share
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	log      *slog.Logger
	now      func() time.Time
}

// New returns a tracer, nil where none is asked for. It connects to nothing yet: a
// receiver that is down costs spans, and never an event. What OTEL_EXPORTER_OTLP_…,
// OTEL_BSP_… and OTEL_RESOURCE_ATTRIBUTES say counts, as with any other program.
func New(ctx context.Context, c Config) (*Tracer, error) {
	if !c.on() {
		return nil, nil
	}
	var opts []otlptracehttp.Option
	if c.Endpoint != "" {
		opts = append(opts, otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.Endpoint, "/")+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of spans: %w", err)
	}
	res, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("binjet"), semconv.ServiceVersion(c.Version), attribute.String("binjet.source", c.Source)),
		resource.WithHost(), resource.WithFromEnv()) // the environment's word is the last
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.Join(fmt.Errorf("describe this process for spans: %w", err), exporter.Shutdown(ctx))
	}
	return newTracer(&said{exporter: exporter, log: c.Log}, res, c), nil
}

func newTracer(exporter sdktrace.SpanExporter, res *resource.Resource, c Config) *Tracer {
	part := newShare(c.Share)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res), sdktrace.WithSampler(
		sdktrace.ParentBased(sdktrace.NeverSample(), sdktrace.WithRemoteParentSampled(part))))
	return &Tracer{share: part, provider: provider, tracer: provider.Tracer(scope, trace.WithInstrumentationVersion(c.Version)), log: c.Log, now: time.Now}
}

// SetShare changes [Config.Share]. It may be called at any time.
func (t *Tracer) SetShare(of float64) {
	if t != nil {
		t.share.set(of)
	}
}

// Hooks returns h with spans behind its Committed.
func (t *Tracer) Hooks(h relay.Hooks) relay.Hooks {
	if t == nil {
		return h
	}
	before := h.Committed
	h.Committed = func(c relay.Commit) {
		if before != nil {
			before(c)
		}
		t.published(c)
	}
	return h
}

// published makes a span for each event whose trace is sampled. Their number in wait
// is bounded: what the receiver does not take in time is dropped, by the SDK.
func (t *Tracer) published(c relay.Commit) {
	end := t.now()
	for _, part := range c.Parts {
		for _, msg := range part.Messages {
			if len(msg.Header[traceparent]) == 0 {
				continue
			}
			of := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), binjet.Headers(msg.Header)))
			if of.IsSampled() {
				t.span(of, msg, part.Committed, end)
			}
		}
	}
}

// traceparent as the row has it: NATS headers keep their case, and so does binjet.
const traceparent = "traceparent"

func (t *Tracer) span(parent trace.SpanContext, msg *nats.Msg, begin, end time.Time) {
	if begin.IsZero() || begin.After(end) { // a row of a snapshot, or the clocks differ
		begin = end
	}
	topic := msg.Header.Get(binjet.HeaderTopic)
	_, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), "send "+topic,
		trace.WithTimestamp(begin), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingOperationName("send"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(topic),
			semconv.MessagingMessageID(msg.Header.Get(binjet.HeaderID)),
			attribute.String("binjet.subject", msg.Subject),
			attribute.String("binjet.transaction", msg.Header.Get(binjet.HeaderTx)),
		))
	span.End(trace.WithTimestamp(end))
}

// Close exports what is left, for a short time.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last spans were not exported", "error", err)
	}
}
