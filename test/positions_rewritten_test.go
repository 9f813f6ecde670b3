package test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestPositionsReused: the server lost its last transactions and gave their
// numbers to others, as after a crash with sync_binlog=0.
func TestPositionsReused(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		execSQL(t, s.db, "CREATE TABLE shop.t (a INT)")
		from := begin(t, s.reader(t, nil))
		s.insert(t, "a")
		base := s.read(t, from, "a")
		must(t, s.reader(t, nil).Verify(t.Context(), base))
		old := s.backup(t)

		// An event is lost, and another one gets its number.
		s.insert(t, "lost")
		lost := s.read(t, base, "lost")
		must(t, s.reader(t, nil).Verify(t.Context(), lost))
		s.restore(t, old)
		s.refused(t, lost, binlog.ErrForeign, lost.Last.GTID.String(), "source.name", "source.start")
		s.insert(t, "other")
		s.refused(t, lost, binlog.ErrRewritten, lost.Last.GTID.String(), stampOf(lost.Last), "sync_binlog", "source.name")
		if got := s.read(t, base, "other"); got.Last.GTID != lost.Last.GTID {
			t.Errorf("the number was not reused: %s, not %s", got.Last.GTID, lost.Last.GTID)
		}

		// One without events is lost, and an event gets its number.
		s.restore(t, old)
		execSQL(t, s.db, "INSERT INTO shop.t VALUES (1)")
		quiet := s.readTo(t, base)
		if quiet.Read == nil || quiet.Last.GTID != base.Last.GTID {
			t.Fatalf("position %+v", quiet)
		}
		must(t, s.reader(t, nil).Verify(t.Context(), quiet))
		s.restore(t, old)
		s.insert(t, "unseen")
		s.refused(t, quiet, binlog.ErrRewritten, quiet.Read.GTID.String())
	})
}

// TestPositionsReusedWhileReading: the same, in front of a stream that runs.
func TestPositionsReusedWhileReading(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		r := s.reader(t, nil)
		k := stream(t, r, begin(t, r), nil)
		s.insert(t, "a")
		k.untilID(t, "a")
		old := s.backup(t)
		s.insert(t, "b")
		k.untilID(t, "b")
		// The server writes again before it lets anybody in.
		first := filepath.Join(t.TempDir(), "first.sql")
		must(t, os.WriteFile(first, []byte(strings.Replace(insertSQL("other"), "outbox", "shop.outbox", 1)+";\n"), 0o644))
		s.restore(t, old, "--init-file="+first)
		k.halted(t, binlog.ErrRewritten, k.position().Last.GTID.String())
		if got := k.ids(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestPositionsPurgedLast: what is purged can't be verified, and nothing is missing.
func TestPositionsPurgedLast(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		_, _ = s.db.ExecContext(t.Context(), "SET GLOBAL slave_connections_needed_for_purge=0")
		from := begin(t, s.reader(t, nil))
		s.insert(t, "a")
		pos := s.read(t, from, "a")
		s.purge(t)
		must(t, s.reader(t, nil).Verify(t.Context(), pos))
		k := stream(t, s.reader(t, nil), pos, nil)
		s.insert(t, "b")
		k.untilID(t, "b")
		if got := k.ids(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestPositionsLastLarge: a large transaction is verified within its memory.
func TestPositionsLastLarge(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		s.digits(t)
		from := begin(t, s.reader(t, nil))
		s.run(t, s.conn(t), "BEGIN", fillSQL("a", 4, 500), "SAVEPOINT x", fillSQL("b", 3, 500), "ROLLBACK TO x", "COMMIT")
		pos := s.read(t, from, "a9999")
		if pos.Last.Rows != 10000 {
			t.Fatalf("%d rows", pos.Last.Rows)
		}
		r := s.reader(t, func(c *binlog.Config) { c.MaxTransactionBytes = 1 << 20 })
		must(t, r.Verify(t.Context(), pos))
		wrong := pos.Clone()
		last := *pos.Last
		last.Hash++
		wrong.Last = &last
		wantHalt(t, r.Verify(t.Context(), wrong), binlog.ErrRewritten, "10000 outbox rows")
	})
}

// TestPositionsReset: a server that begins its numbers anew is not gone on with.
func TestPositionsReset(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		from := begin(t, s.reader(t, nil))
		s.insert(t, "a")
		pos := s.read(t, from, "a")
		execSQL(t, s.db, testdb.ResetBinlogs(s.srv))
		s.refused(t, pos, binlog.ErrForeign, pos.Resume.String(), "source.start")
		// Numbers are counted up again until they hold the position.
		for !s.holds(t, pos) {
			s.insert(t, "n"+querySQL(t, s.db, "SELECT UUID()"))
		}
		s.refused(t, pos, binlog.ErrRewritten, pos.Last.GTID.String())
	})
}

// holds: the server's numbers include those of p.
func (s *binlogSource) holds(t *testing.T, p checkpoint.Position) bool {
	t.Helper()
	now := begin(t, s.reader(t, nil))
	return now.Resume.ContainsSet(p.Resume)
}

// readTo streams up to where the server is.
func (s *binlogSource) readTo(t *testing.T, from checkpoint.Position) checkpoint.Position {
	t.Helper()
	end := begin(t, s.reader(t, nil)).Resume
	pos := from.Clone()
	k := stream(t, s.reader(t, nil), from, nil)
	k.until(t, "position "+end.String(), func(txs []*checkpoint.Transaction) bool {
		pos = from.Clone()
		for _, tx := range txs {
			pos.Apply(tx)
		}
		return pos.Resume.ContainsSet(end)
	})
	_ = k.stop()
	return pos
}

// stampOf is the commit time as messages have it.
func stampOf(l *checkpoint.Last) string { return l.Committed.UTC().Format("2006-01-02 15:04:05") }

// TestPositionsView: who reads other tables than before sees other rows, and that
// is no other history.
func TestPositionsView(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		execSQL(t, s.db, "CREATE TABLE shop.second LIKE shop.outbox")
		from := begin(t, s.reader(t, nil))
		s.insert(t, "a")
		s.run(t, s.conn(t), strings.Replace(insertSQL("x"), "outbox", "second", 1))
		pos := s.readTo(t, from)
		if pos.Read == nil {
			t.Fatalf("position %+v", pos)
		}
		r := s.reader(t, func(c *binlog.Config) { c.Tables = []string{"outbox", "second"} })
		must(t, r.Verify(t.Context(), pos))
		wrong := pos.Clone()
		read := *pos.Read
		read.Committed = read.Committed.Add(time.Second)
		wrong.Read = &read
		wantHalt(t, r.Verify(t.Context(), wrong), binlog.ErrRewritten, read.GTID.String())
	})
}

// TestPositionsPartial: a large transaction that is published in part is lost, and
// one of the same size gets its number. Its rest is not published behind that part.
func TestPositionsPartial(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		s.digits(t)
		s.insert(t, "a")
		from := begin(t, s.reader(t, nil))
		old := s.backup(t)
		s.run(t, s.conn(t), fillSQL("m", 4, 500))
		cut := errors.New("cut")
		parts := 0
		r := s.reader(t, func(c *binlog.Config) { c.MaxTransactionBytes = 1 << 20 })
		k := stream(t, r, from, func(*checkpoint.Transaction) error {
			if parts++; parts > 2 {
				return cut
			}
			return nil
		})
		if <-k.done; !errors.Is(k.err, cut) {
			t.Fatal(k.err)
		}
		pos := k.position()
		if pos.Partial == nil {
			t.Fatalf("position %+v", pos)
		}
		s.restore(t, old)
		s.run(t, s.conn(t), "DO SLEEP(1.1)", fillSQL("n", 4, 500))
		k = stream(t, r, pos, nil)
		k.halted(t, binlog.ErrRewritten, pos.Partial.GTID.String())
		if got := k.ids(); got != nil {
			t.Errorf("got %d rows of another transaction", len(got))
		}
	})
}
