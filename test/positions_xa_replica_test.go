package test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/internal/dbserver"
)

// TestPositionsXAOnReplica: a replica that never ran an XA statement itself
// applies those of its primary. Snapshots taken of it meanwhile miss none of
// them, and repeat none.
func TestPositionsXAOnReplica(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		other := s.replica(t)
		if s.srv.Flavor() == dbserver.MariaDB { // MySQL applies in parallel by itself
			other.replicate(t, "STOP", "")
			execSQL(t, other.db, "SET GLOBAL slave_parallel_threads=4")
			other.replicate(t, "START", "")
		}
		s.insert(t, "a")
		other.untilRow(t, "a")
		wantsLock := func() bool { return other.wantsLock(t) }
		if s.srv.Flavor() == dbserver.MariaDB && wantsLock() {
			t.Error("a replica without XA transactions is locked")
		}
		stop := s.xaWriters(t, 3, 4*time.Millisecond)
		other.untilRow(t, "x-0-000010")
		if !wantsLock() {
			t.Error("a replica that applies XA transactions is not locked")
		}
		var sinks []*binlogSink
		for range 12 {
			r := other.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
			k := stream(t, r, begin(t, r), nil)
			sinks = append(sinks, k)
			k.untilSnapshot(t)
		}
		stop()
		s.insert(t, "z")
		other.untilRow(t, "z")
		all := other.outboxIDs(t)
		for _, k := range sinks {
			k.untilID(t, "z")
			exactly(t, k.ids(), all)
			_ = k.stop()
		}
		t.Logf("%d rows, %d snapshots", len(all), len(sinks))
	})
}

// wantsLock: the check says that a snapshot has to lock the tables.
func (s *binlogSource) wantsLock(t *testing.T) bool {
	t.Helper()
	list, err := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot }).Check(t.Context())
	must(t, err)
	return slices.ContainsFunc(list, func(f binlog.Finding) bool { return strings.HasPrefix(f.Name, "grant LOCK TABLES") })
}

// untilSnapshot waits until the snapshot is complete.
func (k *binlogSink) untilSnapshot(t *testing.T) {
	t.Helper()
	for {
		k.mu.Lock()
		news := k.news
		k.mu.Unlock()
		if k.position().Snapshot == nil {
			return
		}
		select {
		case <-news:
		case <-k.done:
			t.Fatal(k.err)
		}
	}
}

// xaWriters commit XA transactions of one event each, one per pause, until stopped.
func (s *binlogSource) xaWriters(t *testing.T, count int, pause time.Duration) (stop func()) {
	t.Helper()
	stopped := make(chan struct{})
	var wg sync.WaitGroup
	for i := range count {
		c := s.conn(t)
		wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for k := 0; ; k++ {
				select {
				case <-stopped:
					return
				case <-tick.C:
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
	return func() { close(stopped); wg.Wait() }
}
