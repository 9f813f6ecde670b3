package admin

import (
	"testing"
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/relay"
)

// TestSnapshotProgress: rows, share and rate while there is a snapshot, from where
// this process took it up; nothing of it afterwards.
func TestSnapshotProgress(t *testing.T) {
	b := newBench()
	at := func(rows uint64) {
		b.status.Checkpoint.Snapshot = &checkpoint.Snapshot{Begun: true, Table: "shop.outbox", After: "m", Rows: rows, Estimate: 4000}
		b.RelayHooks().Committed(relay.Commit{Checkpoint: b.status.Checkpoint})
	}
	at(500)
	b.pass(2 * time.Second)
	at(1000)
	want := SnapshotReport{Table: "shop.outbox", After: "m", Rows: 1000, EstimatedRows: 4000, EstimatedPercent: 25, RowsPerSecond: 250}
	if got := b.Report(false).Checkpoint.Snapshot; got == nil || *got != want {
		t.Errorf("%+v", got)
	}
	b.status.Checkpoint.Snapshot = nil
	b.RelayHooks().Committed(relay.Commit{Checkpoint: b.status.Checkpoint})
	if got := b.Report(false).Checkpoint.Snapshot; got != nil || b.pace != (pace{}) {
		t.Errorf("afterwards %+v, %+v", got, b.pace)
	}
}
