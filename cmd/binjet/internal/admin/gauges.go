package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/relay"
)

// gauges reads the state of a [Watch] at each scrape. What is not known, or not
// true of a standby, is left out rather than reported as 0.
type gauges struct {
	watch *Watch
	all   []*prometheus.Desc

	build, config, ready, staleAfter, trouble      *prometheus.Desc
	role, leader, leaderSince, epoch, sequence     *prometheus.Desc
	age, published, undecided, oldestXA            *prometheus.Desc
	snapshotRows, snapshotEstimate                 *prometheus.Desc
	broker, connected, lag, lagTransactions        *prometheus.Desc
	backlogTransactions, backlogBytes, readerBytes *prometheus.Desc
	positionAge, purgeIn, binlogKeep, binlogOldest *prometheus.Desc
	deadLetters                                    *prometheus.Desc
}

func newGauges(w *Watch) *gauges {
	g := &gauges{watch: w}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("binjet_"+name, help, labels, nil)
		g.all = append(g.all, d)
		return d
	}
	g.build = desc("build_info", "1, with what this binary was made from.", "version", "commit", "goversion")
	g.config = desc("config_info", "1, with the stream that is published to and the tables that are read.", "stream", "tables")
	g.ready = desc("ready", "1 while /readyz says so.")
	g.staleAfter = desc("stale_after_seconds", "Age from which a checkpoint, a lost connection or a backlog that stands still makes the process unready.")
	g.trouble = desc("trouble", "1 while the last commit had no OK, the checkpoint can't be read, or this process can't take over; /readyz says why.")
	g.role = desc("relay_role", "1 for the role that this process has.", "role")
	g.leader = desc("leader_info", "1 for the instance that wrote the newest checkpoint known.", "instance")
	g.leaderSince = desc("leader_since_timestamp_seconds", "When that instance took over, by its clock.")
	g.epoch = desc("relay_epoch", "Take-overs of the source so far, by the newest checkpoint known.")
	g.sequence = desc("checkpoint_sequence", "Sequence in the stream of the newest checkpoint known.")
	g.age = desc("checkpoint_age_seconds", "Time since this process last saw a new checkpoint in the stream.")
	g.published = desc("last_published_timestamp_seconds", "When the source committed the last transaction that is in the stream. It stands still while there is nothing to publish.")
	g.undecided = desc("xa_undecided", "XA transactions with outbox rows that are prepared and neither committed nor rolled back.")
	g.oldestXA = desc("xa_oldest_seconds", "Time since the oldest of them was prepared; 0 when there is none.")
	g.snapshotRows = desc("snapshot_rows", "Rows of the snapshot that are published; only while there is one.")
	g.snapshotEstimate = desc("snapshot_estimated_rows", "About how many rows it has; 0 when that is not known.")
	g.broker = desc("nats_connected", "1 while NATS is connected.")
	g.connected = desc("source_connected", "1 while the leader's binlog connection is open.")
	g.lag = desc("lag_seconds", "How far the stream may be behind the source: age of the oldest transaction read and not published, "+
		"lateness of the last one when it was read, or time since the source was lost. Leader only.")
	g.lagTransactions = desc("lag_transactions", "Transactions of whatever table that the source had committed and the position was not past, when the source was last asked. Leader only; not without GTIDs.")
	g.backlogTransactions = desc("backlog_transactions", "Transactions with events, or parts of large ones, that the leader has read and the stream does not hold yet.")
	g.backlogBytes = desc("backlog_bytes", "Memory of their events: the queue, and the batches in the making.")
	g.readerBytes = desc("reader_held_bytes", "Memory of the outbox rows of the transaction that is being read, and of prepared XA transactions.")
	g.positionAge = desc("position_age_seconds", "Age of the oldest binlog that is still needed: the lag, or the oldest undecided XA transaction, or the snapshot. Leader only.")
	g.purgeIn = desc("position_purge_seconds", "Time until the source may purge what is still needed, by its own setting; below 0 it may at any moment. Absent where binlogs are kept for ever or by size only.")
	g.binlogKeep = desc("source_binlog_keep_seconds", "Age at which the source purges binlogs; 0 when it goes by no age.")
	g.binlogOldest = desc("source_oldest_binlog_timestamp_seconds", "When the source began the oldest binlog that it has.")
	g.deadLetters = desc("dead_letters", "Messages in the dead-letter stream, by whose they are: a consumer's, or the source's own. Leader only.", "name")
	return g
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range g.all {
		out <- d
	}
}

// send takes a value of one of the descriptions.
type send func(d *prometheus.Desc, v float64, labels ...string)

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	put := send(func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	})
	seen := g.watch.look()
	b, c := seen.about.Build, seen.about
	put(g.build, 1, b.Version, b.Commit, b.GoVersion)
	put(g.config, 1, c.Stream, c.tables())
	put(g.ready, one(g.watch.report(seen).Ready))
	put(g.staleAfter, seen.stale.Seconds())
	put(g.broker, one(seen.broker.connected))
	if !seen.attached {
		return
	}
	s := seen.status
	for _, role := range []relay.Role{relay.Leader, relay.Standby, relay.Stopped} {
		put(g.role, one(s.Role == role), string(role))
	}
	put(g.trouble, one(s.Trouble != ""))
	if s.Seq > 0 {
		g.checkpoint(put, s, seen.now)
	}
	if s.Role == relay.Leader {
		g.leading(put, seen)
	}
}

func (g *gauges) checkpoint(put send, s relay.Status, now time.Time) {
	c := s.Checkpoint
	put(g.leader, 1, s.Leader)
	if !c.Since.IsZero() {
		put(g.leaderSince, seconds(c.Since))
	}
	put(g.epoch, float64(c.Epoch))
	put(g.sequence, float64(s.Seq))
	put(g.age, now.Sub(s.Stored).Seconds())
	if c.Last != nil {
		put(g.published, seconds(c.Last.Committed))
	}
	if c.Snapshot != nil && c.Snapshot.Begun {
		put(g.snapshotRows, float64(c.Snapshot.Rows))
		put(g.snapshotEstimate, float64(c.Snapshot.Estimate))
	}
	n, _, oldest := undecidedXA(c.XA, now)
	put(g.undecided, float64(n))
	put(g.oldestXA, oldest.Seconds())
}

// leading is what only the leader knows, since only it reads.
func (g *gauges) leading(put send, seen view) {
	put(g.connected, one(seen.link.connected))
	put(g.lag, seen.lag.Seconds())
	put(g.backlogTransactions, float64(seen.backlog.Transactions))
	put(g.backlogBytes, float64(seen.backlog.Bytes))
	put(g.readerBytes, float64(seen.held))
	age := seen.positionAge()
	put(g.positionAge, age.Seconds())
	if !seen.survey.at.IsZero() {
		put(g.binlogKeep, seen.survey.keep.Seconds())
		if seen.survey.keep > 0 {
			put(g.purgeIn, (seen.survey.keep - age).Seconds())
		}
		if seen.survey.behindKnown {
			put(g.lagTransactions, float64(seen.survey.behind))
		}
	}
	if !seen.survey.oldest.IsZero() {
		put(g.binlogOldest, seconds(seen.survey.oldest))
	}
	for name, n := range seen.survey.deadLetters {
		put(g.deadLetters, float64(n), name)
	}
}

// undecidedXA counts those that keep outbox rows back, which of them is the oldest, and for how long it has.
func undecidedXA(list []checkpoint.XA, now time.Time) (n int, xid string, oldest time.Duration) {
	for _, x := range list {
		if x.Rows == 0 {
			continue
		}
		if n++; n == 1 || now.Sub(x.Since) > oldest {
			xid, oldest = x.XID, now.Sub(x.Since)
		}
	}
	return n, xid, oldest
}

// seconds is a point in time as Prometheus has it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
