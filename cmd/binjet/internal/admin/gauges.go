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

	role, leader, leaderSince, epoch, sequence, age, published, connected, broker, lag, ready, undecided, oldestXA, snapshotRows, snapshotEstimate *prometheus.Desc
}

func newGauges(w *Watch) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("binjet_"+name, help, labels, nil)
	}
	return &gauges{
		watch:       w,
		role:        desc("relay_role", "1 for the role that this process has.", "role"),
		leader:      desc("leader_info", "1 for the instance that wrote the newest checkpoint known.", "instance"),
		leaderSince: desc("leader_since_timestamp_seconds", "When that instance took over, by its clock."),
		epoch:       desc("relay_epoch", "Take-overs of the source so far, by the newest checkpoint known."),
		sequence:    desc("checkpoint_sequence", "Sequence in the stream of the newest checkpoint known."),
		age:         desc("checkpoint_age_seconds", "Time since this process last saw a new checkpoint in the stream."),
		published:   desc("last_published_timestamp_seconds", "When the source committed the last transaction that is in the stream. It stands still while there is nothing to publish."),
		connected:   desc("source_connected", "1 while the leader's binlog connection is open."),
		broker:      desc("nats_connected", "1 while NATS is connected."),
		lag: desc("lag_seconds", "How far the stream may be behind the source: age of the oldest transaction read and not published, "+
			"lateness of the last one when it was read, or time since the source was lost. Leader only."),
		ready:            desc("ready", "1 while /readyz says so."),
		undecided:        desc("xa_undecided", "XA transactions with outbox rows that are prepared and neither committed nor rolled back."),
		snapshotRows:     desc("snapshot_rows", "Rows of the snapshot that are published; only while there is one."),
		snapshotEstimate: desc("snapshot_estimated_rows", "About how many rows it has; 0 when that is not known."),
		oldestXA:         desc("xa_oldest_seconds", "Time since the oldest of them was prepared; 0 when there is none."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.role, g.leader, g.leaderSince, g.epoch, g.sequence, g.age, g.published, g.connected, g.broker, g.lag, g.ready, g.undecided, g.oldestXA, g.snapshotRows, g.snapshotEstimate} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	report := g.watch.Report()
	send(g.ready, one(report.Ready))
	g.watch.mu.Lock()
	broker := g.watch.broker
	g.watch.mu.Unlock()
	send(g.broker, one(broker.connected))
	status, ok := g.watch.Status()
	if !ok {
		return
	}
	for _, role := range []relay.Role{relay.Leader, relay.Standby, relay.Stopped} {
		send(g.role, one(status.Role == role), string(role))
	}
	if status.Seq > 0 {
		send(g.leader, 1, status.Leader)
		if since := status.Checkpoint.Since; !since.IsZero() {
			send(g.leaderSince, float64(since.UnixMicro())/1e6)
		}
		send(g.epoch, float64(status.Checkpoint.Epoch))
		send(g.sequence, float64(status.Seq))
		send(g.age, g.watch.now().Sub(status.Stored).Seconds())
		if last := status.Checkpoint.Last; last != nil {
			send(g.published, float64(last.Committed.UnixMicro())/1e6)
		}
		if snapshot := status.Checkpoint.Snapshot; snapshot != nil && snapshot.Begun {
			send(g.snapshotRows, float64(snapshot.Rows))
			send(g.snapshotEstimate, float64(snapshot.Estimate))
		}
		n, _, oldest := undecidedXA(status.Checkpoint.XA, g.watch.now())
		send(g.undecided, float64(n))
		send(g.oldestXA, oldest.Seconds())
	}
	if status.Role == relay.Leader {
		g.watch.mu.Lock()
		link, lag := g.watch.link, g.watch.lag.at(g.watch.now(), g.watch.link)
		g.watch.mu.Unlock()
		send(g.connected, one(link.connected))
		send(g.lag, lag.Seconds())
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

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
