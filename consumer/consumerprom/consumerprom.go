package consumerprom

import (
	"cmp"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

// Metrics are those of one consumer. They are a prometheus.Collector.
type Metrics struct {
	consumer atomic.Pointer[consumer.Consumer]
	state    *state
	counted  []prometheus.Collector

	deliveries, redeliveries, waits prometheus.Counter
	outcomes, dead                  *prometheus.CounterVec
	opened                          prometheus.Counter
	latency, took                   *prometheus.HistogramVec
}

// latencyBuckets reach from a message that is handled at once to a day of downtime.
func latencyBuckets() []float64 {
	return []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400}
}

// Instrument adds hooks to cfg, behind those that are there, and returns the metrics
// that they count. cfg.Name and cfg.Stream are read, so set them before.
func Instrument(cfg *consumer.Config) *Metrics {
	labels := prometheus.Labels{"consumer": cfg.Name, "stream": cmp.Or(cfg.Stream, binjet.DefaultStream)}
	m := &Metrics{state: newState(labels)}
	m.deliveries = keep(m, prometheus.NewCounter(opts(labels, "deliveries_total", "Messages that came, again and again if they did.")))
	m.redeliveries = keep(m, prometheus.NewCounter(opts(labels, "redeliveries_total", "Those of them that had come before: retries, messages handed back, lost acknowledgements, processes that died.")))
	m.outcomes = keep(m, prometheus.NewCounterVec(opts(labels, "outcomes_total",
		"How messages ended: handled, duplicate (the inbox knew it), retried, deferred (it comes back and no attempt is counted), dead-lettered, ignored, skipped, expired. handler is the pattern, empty where none was asked."), []string{"handler", "outcome"}))
	m.dead = keep(m, prometheus.NewCounterVec(opts(labels, "dead_letters_total", "Messages given up, by why: attempts (there were too many), discarded (by the handler, or its payload can't be decoded), undecodable (no event of the outbox), unknown (nothing here knows its topic or type)."), []string{"reason"}))
	for _, why := range []string{reasonAttempts, reasonDiscarded, reasonUndecodable, reasonUnknown} {
		m.dead.WithLabelValues(why) // from the start: no increase is seen of what has just appeared
	}
	m.waits = keep(m, prometheus.NewCounter(opts(labels, "inbox_waits_total", "How often a message had to wait because the inbox could not be asked.")))
	m.opened = keep(m, prometheus.NewCounter(opts(labels, "breaker_opened_total", "How often the circuit breaker opened.")))
	m.latency = keep(m, prometheus.NewHistogramVec(histogram(labels, "commit_to_handled_seconds",
		"From a row's created_at, or the time that it was put off to, to the end of its handler's transaction. Handled messages only, without replays. Both clocks matter.", latencyBuckets()), []string{"handler"}))
	m.took = keep(m, prometheus.NewHistogramVec(histogram(labels, "handling_duration_seconds",
		"Time of an attempt, with its inbox and transaction; that of a batch counts for each of its messages.", prometheus.ExponentialBuckets(0.0005, 2, 18)), []string{"handler", "outcome"}))
	cfg.Hooks = cfg.Hooks.And(m.hooks())
	return m
}

func opts(labels prometheus.Labels, name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Name: "binjet_consumer_" + name, Help: help, ConstLabels: labels}
}

func histogram(labels prometheus.Labels, name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: "binjet_consumer_" + name, Help: help, Buckets: buckets, ConstLabels: labels}
}

// keep notes what is to be collected.
func keep[C prometheus.Collector](m *Metrics, c C) C {
	m.counted = append(m.counted, c)
	return c
}

// Watch lets the metrics ask c for its state at each scrape. Without it there are
// counters only.
func (m *Metrics) Watch(c *consumer.Consumer) { m.consumer.Store(c) }

func (m *Metrics) hooks() consumer.Hooks {
	return consumer.Hooks{
		Received: func(_ *consumer.Message, deliveries uint64) {
			m.deliveries.Inc()
			if deliveries > 1 {
				m.redeliveries.Inc()
			}
		},
		Waiting: func(*consumer.Message, error) { m.waits.Inc() },
		Breaker: func(s consumer.BreakerStatus) {
			if s.State == consumer.BreakerOpen {
				m.opened.Inc()
			}
		},
		AfterSettle: m.settled,
	}
}

func (m *Metrics) settled(msg *consumer.Message, out consumer.Outcome) {
	m.outcomes.WithLabelValues(msg.Handler, out.Kind.String()).Inc()
	if out.Took > 0 {
		m.took.WithLabelValues(msg.Handler, out.Kind.String()).Observe(out.Took.Seconds())
	}
	switch out.Kind {
	case consumer.DeadLettered:
		m.dead.WithLabelValues(reason(out.Err)).Inc()
	case consumer.Handled:
		if from := due(msg); !from.IsZero() && msg.Replayed == 0 {
			m.latency.WithLabelValues(msg.Handler).Observe(max(0, time.Since(from).Seconds()))
		}
	}
}

// due is since when the message could have been handled.
func due(msg *consumer.Message) time.Time {
	if !msg.CreatedAt.IsZero() && msg.DeliverAt.After(msg.CreatedAt) {
		return msg.DeliverAt
	}
	return msg.CreatedAt
}

// Why a message became a dead letter.
const (
	reasonAttempts    = "attempts"
	reasonDiscarded   = "discarded"
	reasonUndecodable = "undecodable"
	reasonUnknown     = "unknown"
)

func reason(err error) string {
	switch {
	case errors.Is(err, consumer.ErrDiscarded):
		return reasonDiscarded
	case errors.Is(err, consumer.ErrUndecodable):
		return reasonUndecodable
	case errors.Is(err, consumer.ErrUnknownType), errors.Is(err, consumer.ErrNoHandler):
		return reasonUnknown
	}
	return reasonAttempts
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.counted {
		c.Describe(out)
	}
	m.state.describe(out)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.counted {
		c.Collect(out)
	}
	if c := m.consumer.Load(); c != nil {
		m.state.collect(out, c.Status())
	}
}
