package consumerotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/binjet/binjet/consumer"
)

const scope = "github.com/binjet/binjet/consumer/consumerotel"

// Attributes beside those of the conventions.
const (
	attemptKey = attribute.Key("binjet.attempt")
	outcomeKey = attribute.Key("binjet.outcome")
)

// Options of [Instrument]. The zero value is ready for use.
type Options struct {
	// Provider makes the tracer. Default: otel.GetTracerProvider(), when Instrument is called.
	Provider trace.TracerProvider
	// Propagator reads the context from the headers. Default: W3C Trace Context.
	Propagator propagation.TextMapPropagator
	// Attributes are added to every span. Default: none.
	Attributes []attribute.KeyValue
}

// Instrument adds hooks to cfg, behind those that are there. cfg.Name is read, so set it before.
func Instrument(cfg *consumer.Config, o Options) {
	if o.Provider == nil {
		o.Provider = otel.GetTracerProvider()
	}
	if o.Propagator == nil {
		o.Propagator = propagation.TraceContext{}
	}
	t := &tracer{Options: o, tracer: o.Provider.Tracer(scope), consumer: cfg.Name}
	cfg.Hooks = cfg.Hooks.And(consumer.Hooks{Context: t.begin, Ended: t.end, BatchContext: t.beginBatch, BatchEnded: t.endBatch})
}

type tracer struct {
	Options
	tracer   trace.Tracer
	consumer string
}

// begin opens the span of an attempt.
func (t *tracer) begin(ctx context.Context, m *consumer.Message) context.Context {
	ctx, _ = t.tracer.Start(t.Propagator.Extract(ctx, m.Headers), "process "+m.Topic, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(t.common(m.Topic)...), trace.WithAttributes(
			semconv.MessagingMessageID(m.ID),
			semconv.MessagingMessageBodySize(len(m.Payload)),
			attemptKey.Int(m.Attempt),
		))
	return ctx
}

func (t *tracer) common(topic string) []attribute.KeyValue {
	return append([]attribute.KeyValue{
		semconv.MessagingSystemKey.String("nats"),
		semconv.MessagingOperationName("process"),
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(topic),
		semconv.MessagingConsumerGroupName(t.consumer),
	}, t.Attributes...)
}

func (t *tracer) end(ctx context.Context, _ *consumer.Message, out consumer.Outcome) {
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(outcomeKey.String(out.Kind.String()))
	if out.Kind == consumer.Retried || out.Kind == consumer.DeadLettered {
		fail(span, out.Err)
	}
	span.End()
}

// fail marks a span. A panic has its stack with it.
func fail(span trace.Span, err error) {
	var panicked *consumer.PanicError
	if errors.As(err, &panicked) {
		span.RecordError(err, trace.WithAttributes(semconv.ExceptionStacktrace(string(panicked.Stack))))
	} else {
		span.RecordError(err)
	}
	span.SetStatus(codes.Error, err.Error())
}

// beginBatch opens the span of one run.
func (t *tracer) beginBatch(ctx context.Context, msgs []*consumer.Message) context.Context {
	var links []trace.Link
	for _, m := range msgs {
		of := trace.SpanContextFromContext(t.Propagator.Extract(context.Background(), m.Headers))
		if of.IsValid() {
			links = append(links, trace.Link{SpanContext: of, Attributes: []attribute.KeyValue{semconv.MessagingMessageID(m.ID)}})
		}
	}
	ctx, _ = t.tracer.Start(ctx, "process "+msgs[0].Handler, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...),
		trace.WithAttributes(t.common(msgs[0].Handler)...), trace.WithAttributes(semconv.MessagingBatchMessageCount(len(msgs))))
	return ctx
}

func (t *tracer) endBatch(ctx context.Context, _ []*consumer.Message, err error) {
	span := trace.SpanFromContext(ctx)
	if err != nil {
		fail(span, err)
	}
	span.End()
}
