package test

import (
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
)

// xaSnapshotLoad: snapshots that are taken while XA transactions commit miss
// none of them, and repeat none.
func xaSnapshotLoad(t *testing.T, s *binlogSource) { xaSnapshotsUnderLoad(t, s, 25) }

func xaSnapshotsUnderLoad(t *testing.T, s *binlogSource, snapshots int) {
	stop := s.xaWriters(t, 4, time.Microsecond)
	var sinks []*binlogSink
	for range snapshots {
		r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
		k := stream(t, r, begin(t, r), nil)
		sinks = append(sinks, k)
		k.untilSnapshot(t)
	}
	stop()
	s.run(t, s.conn(t), insertSQL("z"))
	all := s.outboxIDs(t)
	for _, k := range sinks {
		k.untilID(t, "z")
		exactly(t, k.ids(), all)
		_ = k.stop()
	}
	t.Logf("%d rows, %d snapshots", len(all), len(sinks))
}

// outboxIDs are the IDs that lie in the table.
func (s *binlogSource) outboxIDs(t *testing.T) (ids []string) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "SELECT id FROM "+s.schema+".outbox")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id string
		must(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	must(t, rows.Err())
	return ids
}
