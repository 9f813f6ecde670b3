package tracing

import (
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// share samples a part of all traces, which may change.
type share struct {
	now atomic.Pointer[sdktrace.Sampler]
}

func newShare(of float64) *share {
	s := new(share)
	s.set(of)
	return s
}

func (s *share) set(of float64) {
	by := sdktrace.TraceIDRatioBased(of)
	s.now.Store(&by)
}

func (s *share) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return (*s.now.Load()).ShouldSample(p)
}

func (s *share) Description() string { return (*s.now.Load()).Description() }
