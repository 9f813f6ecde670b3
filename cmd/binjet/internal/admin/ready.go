package admin

import (
	"fmt"
	"time"

	"github.com/binjet/binjet/relay"
)

// Report is what /readyz says.
type Report struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"` // why not
	Source  string   `json:"source"`

	Role  relay.Role `json:"role,omitempty"`
	Since *time.Time `json:"since,omitempty"` // of the role
	// Leader is the instance that wrote the checkpoint, LeaderSince when it took over.
	Leader      string     `json:"leader,omitempty"`
	LeaderSince *time.Time `json:"leader_since,omitempty"`

	Events     uint64            `json:"events"` // published by this process
	LagSeconds *float64          `json:"lag_seconds,omitempty"`
	Backlog    *relay.Backlog    `json:"backlog,omitempty"`
	Checkpoint *CheckpointReport `json:"checkpoint,omitempty"`
}

// CheckpointReport is the newest checkpoint known.
type CheckpointReport struct {
	Seq        uint64  `json:"seq"`
	Epoch      uint64  `json:"epoch"`
	AgeSeconds float64 `json:"age_seconds"`
	Count      uint64  `json:"events"` // of the source, in all
	Position   string  `json:"position"`
	Released   bool    `json:"released,omitempty"`

	Snapshot *SnapshotReport `json:"snapshot,omitempty"`

	XA *XAReport `json:"xa_undecided,omitempty"`
}

// SnapshotReport is how far a snapshot is. The rate is that of this process.
type SnapshotReport struct {
	Table            string  `json:"table"`
	After            string  `json:"after"` // the last ID published
	Rows             uint64  `json:"rows"`
	EstimatedRows    uint64  `json:"estimated_rows,omitempty"`
	EstimatedPercent float64 `json:"estimated_percent,omitempty"`
	RowsPerSecond    float64 `json:"rows_per_second"`
}

// XAReport is about the XA transactions that keep outbox rows back.
type XAReport struct {
	Count         int     `json:"count"`
	OldestXID     string  `json:"oldest_xid"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

// Report judges the state of now. leader asks for more: that this process leads.
func (w *Watch) Report(leader bool) Report {
	seen := w.look()
	seen.about.OnlyLeader = seen.about.OnlyLeader || leader
	return w.report(seen)
}

func (w *Watch) report(seen view) Report {
	r := Report{Source: w.source}
	if !seen.attached {
		r.Reasons = []string{"starting: the source and the broker are being checked"}
		return r
	}
	s := seen.status
	r.Role, r.Since, r.Leader, r.Events = s.Role, &s.Since, s.Leader, s.Events
	if s.Seq > 0 {
		r.Checkpoint = checkpointReport(seen)
		if since := s.Checkpoint.Since; !since.IsZero() {
			r.LeaderSince = &since
		}
	}
	if s.Role == relay.Leader {
		lag := seen.lag.Seconds()
		r.LagSeconds, r.Backlog = &lag, &seen.backlog
	}
	r.Reasons = reasons(seen)
	r.Ready = len(r.Reasons) == 0
	return r
}

func checkpointReport(seen view) *CheckpointReport {
	c := seen.status.Checkpoint
	r := &CheckpointReport{Seq: seen.status.Seq, Epoch: c.Epoch, AgeSeconds: seen.now.Sub(seen.status.Stored).Seconds(),
		Count: c.Count, Position: c.Where(), Released: c.Released}
	if s := c.Snapshot; s != nil && s.Begun {
		share, _ := s.Share()
		r.Snapshot = &SnapshotReport{Table: s.Table, After: s.After, Rows: s.Rows, EstimatedRows: s.Estimate,
			EstimatedPercent: 100 * share, RowsPerSecond: seen.pace.rate()}
	}
	if n, xid, age := undecidedXA(c.XA, seen.now); n > 0 {
		r.XA = &XAReport{Count: n, OldestXID: xid, OldestSeconds: age.Seconds()}
	}
	return r
}

// reasons lists what keeps a relay from doing its part: for a leader, moving the
// checkpoint, reading the source and publishing what it read; for a standby, watching
// a checkpoint that moves.
func reasons(v view) (list []string) {
	s := v.status
	if s.Role == relay.Stopped {
		return []string{"the relay has stopped"}
	}
	trouble := ""
	if s.Trouble != "" {
		trouble = ": " + s.Trouble
	}
	switch age := v.now.Sub(s.Stored); {
	case s.Seq == 0:
		list = append(list, "no checkpoint of this source was seen yet"+trouble)
	case age > v.stale:
		list = append(list, fmt.Sprintf("the newest checkpoint is %s old, more than %s%s", round(age), v.stale, trouble))
	case s.Role == relay.Leader:
		list = appendReason(list, v.stalled(trouble))
	}
	if s.Role == relay.Leader {
		list = appendReason(list, v.link.down("the source", v.now, v.stale))
	} else if v.about.OnlyLeader {
		list = append(list, fmt.Sprintf("this process stands by, and the leader was asked for: it is %s", leaderOf(s)))
	}
	return appendReason(list, v.broker.down("NATS", v.now, v.stale))
}

func leaderOf(s relay.Status) string {
	if s.Seq == 0 || s.Checkpoint.Released {
		return "nobody at the moment"
	}
	return s.Leader
}

// stalled says that what was read is not published, although the checkpoint moves. A
// rescan reads the whole stream before it publishes, and so explains it.
func (v view) stalled(trouble string) string {
	b := v.backlog
	if b.Since.IsZero() || v.now.Sub(b.Since) <= v.stale {
		return ""
	}
	if snapshot := v.status.Checkpoint.Snapshot; snapshot != nil && snapshot.Rescan != nil {
		return ""
	}
	return fmt.Sprintf("%d transactions (%d bytes) were read and nothing of them was published for %s, more than %s%s",
		b.Transactions, b.Bytes, round(v.now.Sub(b.Since)), v.stale, trouble)
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

func appendReason(list []string, reason string) []string {
	if reason == "" {
		return list
	}
	return append(list, reason)
}
