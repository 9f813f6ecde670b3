package test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/binjet/binjet/binlog"
)

// xaSnapshotLoad: snapshots that are taken while XA transactions commit miss
// none of them, and repeat none.
func xaSnapshotLoad(t *testing.T, s *binlogSource) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		c := s.conn(t)
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("x-%d-%06d", i, k)
				for _, q := range []string{"XA START '" + id + "'", insertSQL(id), "XA END '" + id + "'", "XA PREPARE '" + id + "'", "XA COMMIT '" + id + "'"} {
					if _, err := c.ExecContext(t.Context(), q); err != nil {
						t.Errorf("%s: %v", q, err)
						return
					}
				}
			}
		})
	}
	var sinks []*binlogSink
	for range 25 {
		r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
		k := stream(t, r, begin(t, r), nil)
		sinks = append(sinks, k)
		for {
			k.mu.Lock()
			news := k.news
			k.mu.Unlock()
			if k.position().Snapshot == nil {
				break
			}
			<-news
		}
	}
	close(stop)
	wg.Wait()
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
