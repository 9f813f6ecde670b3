package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/binjet/binjet/relay"
)

// metrics are what is counted as it happens. What the relay knows by itself is
// read at the scrape, by [gauges].
type metrics struct {
	events, batches, bytes, commits prometheus.Counter
	quarantined                     prometheus.Counter
	settlements                     *prometheus.CounterVec
	batchEvents                     prometheus.Histogram
	commitSeconds, latencySeconds   prometheus.Histogram

	connects, received, transactions, rows prometheus.Counter
}

// newMetrics registers every metric of w. All of ours carry the source's name.
func newMetrics(w *Watch) *metrics {
	w.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r := prometheus.WrapRegistererWith(prometheus.Labels{"source": w.source}, w.registry)
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "binjet_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "binjet_" + name, Help: help, Buckets: buckets})
		r.MustRegister(h)
		return h
	}
	m := &metrics{
		events:      counter("events_published_total", "Events that the stream holds."),
		bytes:       counter("published_bytes_total", "Bytes of these events, headers included."),
		batches:     counter("batches_total", "Atomic batches with events that the stream holds."),
		quarantined: counter("quarantined_total", "Rows that can't be published and lie in the dead-letter stream."),
		commits:     counter("checkpoints_total", "Checkpoints that the stream holds: batches, heartbeats and take-overs."),
		settlements: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "binjet_settlements_total",
			Help: "Commits without an OK, by what the stream was found to hold."}, []string{"verdict"}),
		batchEvents:   histogram("batch_events", "Events of a batch.", []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 998}),
		commitSeconds: histogram("commit_duration_seconds", "From sending the commit of a batch to its settled outcome.", prometheus.ExponentialBuckets(0.0005, 2, 16)),
		latencySeconds: histogram("commit_to_published_seconds",
			"From the commit of a batch's oldest transaction in the source to its being in the stream. MariaDB's commit times have whole seconds.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400}),
		connects:     counter("source_connects_total", "Binlog connections that were opened."),
		received:     counter("source_received_bytes_total", "Bytes of binlog that were read."),
		transactions: counter("source_transactions_total", "Transactions of whatever table that were read."),
		rows:         counter("source_rows_total", "Outbox rows that were read."),
	}
	for _, verdict := range []string{"committed", "resend", "deposed", "older", "retry"} {
		m.settlements.WithLabelValues(verdict)
	}
	r.MustRegister(m.settlements, newGauges(w))
	return m
}

func (m *metrics) committed(c relay.Commit, now time.Time) {
	m.commits.Inc()
	if c.Events == 0 {
		return
	}
	m.batches.Inc()
	m.events.Add(float64(c.Events))
	m.bytes.Add(float64(c.Bytes))
	m.batchEvents.Observe(float64(c.Events))
	m.commitSeconds.Observe(c.Duration.Seconds())
	if !c.Oldest.IsZero() {
		m.latencySeconds.Observe(max(0, now.Sub(c.Oldest).Seconds()))
	}
}
