package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binjet/binjet/internal/prune"
)

// pruning is what is counted while old rows are pruned.
type pruning struct {
	rows, partitions *prometheus.CounterVec
	errors           prometheus.Counter
	batchSeconds     prometheus.Histogram
	oldest           *prometheus.GaugeVec
	success          prometheus.Gauge
}

// PruneHooks are for [prune.Config]. Its metrics are there only once it is called, so
// that who prunes nothing is not alarmed by them. It is called once.
func (w *Watch) PruneHooks() prune.Hooks {
	p := &pruning{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "binjet_prune_rows_total",
			Help: "Old rows that were deleted from an outbox table."}, []string{"table"}),
		partitions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "binjet_prune_partitions_total",
			Help: "Old partitions that were dropped from an outbox table."}, []string{"table"}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "binjet_prune_errors_total",
			Help: "Rounds of pruning that failed; the log says why."}),
		batchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "binjet_prune_batch_duration_seconds",
			Help: "Duration of one DELETE of old rows, its commit and waits for locks included.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 13)}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "binjet_prune_oldest_kept_timestamp_seconds",
			Help: "created_at of the oldest row that the last round saw and left in an outbox table. Absent where none stays."}, []string{"table"}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{Name: "binjet_prune_last_success_timestamp_seconds",
			Help: "When this process last finished a round of pruning; 0 before that, and on a standby."}),
	}
	r := prometheus.WrapRegistererWith(prometheus.Labels{"source": w.source}, w.registry)
	r.MustRegister(p.rows, p.partitions, p.errors, p.batchSeconds, p.oldest, p.success)
	return prune.Hooks{
		Deleted: func(table string, rows int64, took time.Duration) {
			p.rows.WithLabelValues(table).Add(float64(rows))
			p.batchSeconds.Observe(took.Seconds())
		},
		Round: func(report prune.Report, err error) { p.round(report, err, w.now()) },
	}
}

func (p *pruning) round(report prune.Report, err error, now time.Time) {
	for _, t := range report.Tables {
		if t.Skipped != "" {
			continue
		}
		p.rows.WithLabelValues(t.Table)
		p.partitions.WithLabelValues(t.Table).Add(float64(len(t.Partitions)))
		p.oldest.DeleteLabelValues(t.Table)
		if !t.Oldest.IsZero() {
			p.oldest.WithLabelValues(t.Table).Set(float64(t.Oldest.UnixMicro()) / 1e6)
		}
	}
	if err != nil {
		p.errors.Inc()
		return
	}
	p.success.Set(float64(now.UnixMicro()) / 1e6)
}
