package admin

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/binjet/binjet/relay"
)

// metrics are what is counted as it happens. What the relay knows by itself is
// read at the scrape, by [gauges].
type metrics struct {
	events, alone, batches, bytes, commits prometheus.Counter
	quarantined, takeovers                 prometheus.Counter
	settlements, refused                   *prometheus.CounterVec
	batchEvents, batchBytes                prometheus.Histogram
	commitSeconds, latencySeconds          prometheus.Histogram

	connects, disconnects, received, transactions, rows prometheus.Counter
	brokerLosses, brokerReconnects                      prometheus.Counter
	unasked                                             *prometheus.CounterVec
}

// What a commit without an OK was found to be, and why it had none. All of them are
// there from the start, so that a rate is never of a series that has just appeared.
var (
	verdicts = []string{"committed", "resend", "deposed", "older", "retry"}
	causes   = []string{causeRefused, causeNoAnswer, causeDisconnected, causeOther}
)

const (
	causeRefused      = "refused"
	causeNoAnswer     = "no_answer"
	causeDisconnected = "disconnected"
	causeOther        = "other"
)

// causeOf sorts the cause of a settlement.
func causeOf(err error) string {
	var refused *relay.RefusedError
	switch {
	case errors.As(err, &refused):
		return causeRefused
	case errors.Is(err, relay.ErrNoAnswer), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return causeNoAnswer
	case errors.Is(err, relay.ErrReconnected), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, nats.ErrConnectionClosed):
		return causeDisconnected
	}
	return causeOther
}

// latencyBuckets reach from a commit that is published at once to a day of downtime.
var latencyBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400}

// registrar makes metrics that carry the source's name.
type registrar struct{ prometheus.Registerer }

func (r registrar) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "binjet_" + name, Help: help})
	r.MustRegister(c)
	return c
}

func (r registrar) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "binjet_" + name, Help: help}, labels)
	r.MustRegister(c)
	return c
}

func (r registrar) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "binjet_" + name, Help: help, Buckets: buckets})
	r.MustRegister(h)
	return h
}

// newMetrics registers every metric of w. All of ours carry the source's name.
func newMetrics(w *Watch) *metrics {
	w.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r := registrar{prometheus.WrapRegistererWith(prometheus.Labels{"source": w.source}, w.registry)}
	m := &metrics{
		events:      r.counter("events_published_total", "Events that the stream holds."),
		bytes:       r.counter("published_bytes_total", "Bytes of these events, headers included."),
		alone:       r.counter("lone_events_total", "Of the events that the stream holds, those that went by themselves, the checkpoint following: on one server, while little waits."),
		batches:     r.counter("batches_total", "Atomic batches with events that the stream holds."),
		quarantined: r.counter("quarantined_total", "Rows that can't be published and lie in the dead-letter stream."),
		commits:     r.counter("checkpoints_total", "Checkpoints that the stream holds: batches, heartbeats and take-overs."),
		takeovers:   r.counter("takeovers_total", "How often this process became the leader."),
		settlements: r.counters("settlements_total", "Commits without an OK, by what the stream was found to hold (retry: it could not be read) and why there was none.", "verdict", "cause"),
		refused:     r.counters("refused_writes_total", "Commits that the broker refused, by its error code; 10071 and 10164 are what fences off a deposed leader.", "code"),
		batchEvents: r.histogram("batch_events", "Events of a batch.", []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 998}),
		batchBytes:  r.histogram("batch_bytes", "Bytes of a batch's events, headers included.", prometheus.ExponentialBuckets(256, 4, 9)),

		commitSeconds: r.histogram("commit_duration_seconds", "From sending the commit of a batch, or an event by itself, to its settled outcome.", prometheus.ExponentialBuckets(0.000125, 2, 18)),
		latencySeconds: r.histogram("commit_to_published_seconds",
			"From a transaction's commit in the source to its being in the stream, for each transaction with events. Both clocks matter, and MariaDB's commit times have whole seconds.", latencyBuckets),

		connects:     r.counter("source_connects_total", "Binlog connections that were opened."),
		disconnects:  r.counter("source_disconnects_total", "Binlog connections that were lost, and tries that failed."),
		received:     r.counter("source_received_bytes_total", "Bytes of binlog that were read."),
		transactions: r.counter("source_transactions_total", "Transactions of whatever table that were read."),
		rows:         r.counter("source_rows_total", "Outbox rows that were read."),

		brokerLosses:     r.counter("nats_disconnects_total", "How often the connection to NATS was lost."),
		brokerReconnects: r.counter("nats_reconnects_total", "How often it was found again."),
		unasked:          r.counters("survey_failures_total", "Questions that were not answered, by what was asked: binlogs (of the source), dead_letters (of NATS).", "about"),
	}
	for _, verdict := range verdicts {
		for _, cause := range causes {
			m.settlements.WithLabelValues(verdict, cause)
		}
	}
	for _, about := range []string{aboutBinlogs, aboutDeadLetters} {
		m.unasked.WithLabelValues(about)
	}
	r.MustRegister(newGauges(w))
	return m
}

func (m *metrics) committed(c relay.Commit, now time.Time) {
	switch {
	case c.Alone:
		m.alone.Inc()
	case c.Events == 0:
		m.commits.Inc()
		return
	default:
		m.commits.Inc()
		m.batches.Inc()
		m.batchEvents.Observe(float64(c.Events))
		m.batchBytes.Observe(float64(c.Bytes))
	}
	m.events.Add(float64(c.Events))
	m.bytes.Add(float64(c.Bytes))
	m.commitSeconds.Observe(c.Duration.Seconds())
	for _, part := range c.Parts {
		if !part.Committed.IsZero() {
			m.latencySeconds.Observe(max(0, now.Sub(part.Committed).Seconds()))
		}
	}
}

// settled counts a verdict. last is the refusal of the call before: a commit is
// settled by asking again and again, and was refused once.
func (m *metrics) settled(verdict string, cause error, last *relay.RefusedError) *relay.RefusedError {
	m.settlements.WithLabelValues(verdict, causeOf(cause)).Inc()
	var refused *relay.RefusedError
	if errors.As(cause, &refused) && refused != last {
		m.refused.WithLabelValues(strconv.Itoa(refused.Code)).Inc()
	}
	return refused
}
