package test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
)

// TestPositionsFailover: a replica that is complete is gone on with; one that
// lags is waited for, and shows it.
func TestPositionsFailover(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		execSQL(t, s.db, "CREATE TABLE shop.t (a INT)")
		from := begin(t, s.reader(t, nil))
		other := s.replica(t)
		// The commit is later than the write, and replicated later still.
		s.run(t, s.conn(t), "BEGIN", insertSQL("a"), "DO SLEEP(1.1)", "COMMIT")
		pos := s.read(t, from, "a")
		other.untilRow(t, "a")
		must(t, other.reader(t, nil).Verify(t.Context(), pos))

		other.replicate(t, "STOP", "SQL_THREAD")
		s.insert(t, "b")
		pos = s.read(t, pos, "b")
		behind := pos.Last.GTID
		waits := make(chan error, 1000)
		r := other.reader(t, func(c *binlog.Config) { patient(c); c.Hooks.Disconnected = func(err error) { waits <- err } })
		var lagging *binlog.LagError
		if err := r.Verify(t.Context(), pos); !errors.As(err, &lagging) || lagging.Transactions != 1 || lagging.Missing == "" {
			t.Fatalf("verify on a replica that lags: %v", err)
		}
		k := stream(t, r, pos, nil)
		for range 3 {
			if err := <-waits; !errors.As(err, &lagging) {
				t.Fatalf("lost by %v, want the wait for %s", err, behind)
			}
		}
		other.replicate(t, "START", "SQL_THREAD")
		execSQL(t, s.db, "INSERT INTO shop.t VALUES (1)")
		s.insert(t, "c")
		k.untilID(t, "c")
		// It is promoted, and written to.
		other.replicate(t, "STOP", "")
		other.insert(t, "d")
		k.untilID(t, "d")
		if got := k.ids(); !slices.Equal(got, []string{"c", "d"}) {
			t.Errorf("got %v", got)
		}
		must(t, other.reader(t, nil).Verify(t.Context(), k.position()))
		_ = k.stop()
		other.samePosition(t, k.position())
	})
}

// TestPositionsDiverged: a replica that was promoted without the last
// transactions of the old server never gets them.
func TestPositionsDiverged(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		from := begin(t, s.reader(t, nil))
		other := s.replica(t)
		s.insert(t, "a")
		other.untilRow(t, "a")
		other.replicate(t, "STOP", "")
		s.insert(t, "only-here")
		pos := s.read(t, from, "only-here")
		other.insert(t, "only-there")
		other.refused(t, pos, binlog.ErrForeign, pos.Last.GTID.String(), "source.start")

		// With patience, the halt comes once the wait is over.
		r := other.reader(t, func(c *binlog.Config) { quick(c); c.FailoverWait = 700 * time.Millisecond })
		started := time.Now()
		k := stream(t, r, pos, nil)
		k.halted(t, binlog.ErrForeign, pos.Last.GTID.String())
		if took := time.Since(started); took < 700*time.Millisecond {
			t.Errorf("halted after %s", took)
		}
		if got := k.ids(); got != nil {
			t.Errorf("got %v", got)
		}
	})
}

// TestPositionsRestored: an older backup lacks what was published; what it then
// commits under the same numbers is never taken for it.
func TestPositionsRestored(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		from := begin(t, s.reader(t, nil))
		s.insert(t, "a")
		old := s.backup(t)
		s.insert(t, "b", "c")
		pos := s.read(t, from, "c")
		s.restore(t, old)
		started := time.Now()
		r := s.reader(t, patient)
		wantHalt(t, r.Verify(t.Context(), pos), binlog.ErrForeign, "the same as before")
		if took := time.Since(started); took > binlog.DefaultFailoverWait/2 {
			t.Errorf("waited %s for what nobody will send", took)
		}
		s.insert(t, "x")
		s.refused(t, pos, binlog.ErrForeign)
		s.insert(t, "y", "z")
		s.refused(t, pos, binlog.ErrRewritten, pos.Last.GTID.String())
	})
}
