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

// stand forgets what is no longer true when this process ceases to lead: another one
// prunes from then on.
func (p *pruning) stand() {
	p.oldest.Reset()
	p.success.Set(0)
}

// PruneHooks are for [prune.Config], whose Keep it shows. Its metrics are there only once
// it is called, so that who prunes nothing is not alarmed by them. It is called once.
func (w *Watch) PruneHooks(keep time.Duration) prune.Hooks {
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
			Help: "created_at of the oldest row that the last round saw and left in an outbox table. Absent where none stays, and on a standby."}, []string{"table"}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{Name: "binjet_prune_last_success_timestamp_seconds",
			Help: "When this process last finished a round of pruning; 0 before that, and on a standby."}),
	}
	r := prometheus.WrapRegistererWith(prometheus.Labels{"source": w.source}, w.registry)
	limit := prometheus.NewGauge(prometheus.GaugeOpts{Name: "binjet_prune_keep_seconds",
		Help: "Age up to which rows are kept: retention.keep. There only where it is set, as are all metrics of pruning."})
	limit.Set(keep.Seconds())
	r.MustRegister(p.rows, p.partitions, p.errors, p.batchSeconds, p.oldest, p.success, limit)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pruning = p
	return prune.Hooks{
		Deleted: func(table string, rows int64, took time.Duration) {
			p.rows.WithLabelValues(table).Add(float64(rows))
			p.batchSeconds.Observe(took.Seconds())
		},
		Round: func(report prune.Report, err error) { w.pruned(report, err) },
	}
}

// pruned notes a round, of whose end a process that leads no more has nothing to say.
func (w *Watch) pruned(report prune.Report, err error) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pruning.round(report, err, now)
	if !w.leads {
		w.pruning.stand()
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
