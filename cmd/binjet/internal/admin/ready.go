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

// Report judges the state of now.
func (w *Watch) Report() Report {
	now := w.now()
	status, attached := w.Status()
	w.mu.Lock()
	link, broker, rate := w.link, w.broker, w.pace.rate()
	w.mu.Unlock()
	r := Report{Source: w.source}
	if !attached {
		r.Reasons = []string{"starting: the source and the broker are being checked"}
		return r
	}
	r.Role, r.Since, r.Leader, r.Events = status.Role, &status.Since, status.Leader, status.Events
	if status.Seq > 0 {
		c := status.Checkpoint
		r.Checkpoint = &CheckpointReport{Seq: status.Seq, Epoch: c.Epoch, AgeSeconds: now.Sub(status.Stored).Seconds(),
			Count: c.Count, Position: c.Where(), Released: c.Released}
		if !c.Since.IsZero() {
			r.LeaderSince = &c.Since
		}
		if s := c.Snapshot; s != nil && s.Begun {
			share, _ := s.Share()
			r.Checkpoint.Snapshot = &SnapshotReport{Table: s.Table, After: s.After, Rows: s.Rows, EstimatedRows: s.Estimate,
				EstimatedPercent: 100 * share, RowsPerSecond: rate}
		}
		if n, xid, age := undecidedXA(c.XA, now); n > 0 {
			r.Checkpoint.XA = &XAReport{Count: n, OldestXID: xid, OldestSeconds: age.Seconds()}
		}
	}
	r.Reasons = reasons(status, link, broker, now, w.stale)
	r.Ready = len(r.Reasons) == 0
	return r
}

// reasons lists what keeps a relay from doing its part: for a leader, moving the
// checkpoint and reading the source; for a standby, watching a checkpoint that moves.
func reasons(s relay.Status, source, broker link, now time.Time, stale time.Duration) (list []string) {
	if s.Role == relay.Stopped {
		return []string{"the relay has stopped"}
	}
	trouble := ""
	if s.Trouble != "" {
		trouble = ": " + s.Trouble
	}
	switch age := now.Sub(s.Stored); {
	case s.Seq == 0:
		list = append(list, "no checkpoint of this source was seen yet"+trouble)
	case age > stale:
		list = append(list, fmt.Sprintf("the newest checkpoint is %s old, more than %s%s", age.Round(100*time.Millisecond), stale, trouble))
	}
	if s.Role == relay.Leader {
		list = appendReason(list, source.down("the source", now, stale))
	}
	return appendReason(list, broker.down("NATS", now, stale))
}

func appendReason(list []string, reason string) []string {
	if reason == "" {
		return list
	}
	return append(list, reason)
}
