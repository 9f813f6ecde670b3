package test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

func TestBinlogXA(t *testing.T) {
	t.Parallel()
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor, Durable: true})
			for _, test := range []struct {
				name string
				run  func(*testing.T, *binlogSource)
			}{
				{"shapes", xaShapes},
				{"resumed", xaResumed},
				{"killed", xaKilled},
				{"from_before", xaFromBefore},
				{"snapshot", xaSnapshot},
				{"snapshot_cut", xaSnapshotCut},
				{"snapshot_load", xaSnapshotLoad},
				{"huge", xaHuge},
				{"faulty", xaFaulty},
				{"purged", xaPurged},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, newBinlogSource(t, srv, db, "x_"+test.name)) })
			}
		})
	}
}

// prepareXA prepares an XA transaction in a session that it then leaves, so that
// any other session can decide it.
func (s *binlogSource) prepareXA(t *testing.T, xid string, queries ...string) {
	t.Helper()
	c, err := s.db.Conn(t.Context())
	must(t, err)
	s.run(t, c, slices.Concat([]string{"USE " + s.schema, "XA START " + xid}, queries, []string{"XA END " + xid, "XA PREPARE " + xid})...)
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.Close()
}

// decideXA commits or rolls back, once the session that prepared is gone.
func (s *binlogSource) decideXA(t *testing.T, verb, xid string) {
	t.Helper()
	consumerEventually(t, "XA "+verb+" "+xid, func() bool {
		_, err := s.db.ExecContext(t.Context(), "XA "+verb+" "+xid)
		var refused *mysql.MySQLError
		if errors.As(err, &refused) {
			switch refused.Number {
			case 1397: // still its session's
				return false
			case 1402: // MariaDB forgets one without writes with its session
				return true
			}
		}
		must(t, err)
		return true
	})
}

func want(t *testing.T, what string, got []string, ids ...string) {
	t.Helper()
	if !slices.Equal(got, ids) {
		t.Errorf("%s: got %v, want %v", what, got, ids)
	}
}

// xaShapes: rows come where their XA COMMIT is, under its GTID, or not at all.
func xaShapes(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	c := s.conn(t)
	s.run(t, c, "CREATE TABLE t (a INT)")
	s.prepareXA(t, "'a'", insertSQL("a1"), "INSERT INTO t VALUES (1)", insertSQL("a2", "a3"))
	s.run(t, c, insertSQL("b"))
	s.prepareXA(t, "X'00ff27','x,y',77", insertSQL("c"))
	s.prepareXA(t, "'harmless'", "INSERT INTO t VALUES (2)")
	s.prepareXA(t, "'empty'")
	s.prepareXA(t, "'dropped'", insertSQL("d"))
	s.decideXA(t, "COMMIT", "X'00FF27',X'782C79',77")
	s.run(t, c, insertSQL("e"))
	k.untilID(t, "e")
	if p := k.position(); len(p.XA) < 3 || p.XA[0].Rows != 3 {
		t.Errorf("undecided: %+v", p.XA)
	}
	s.decideXA(t, "COMMIT", "'a'")
	s.decideXA(t, "COMMIT", "'harmless'")
	s.decideXA(t, "ROLLBACK", "'empty'")
	s.decideXA(t, "ROLLBACK", "'dropped'")
	s.prepareXA(t, "'a'", insertSQL("f"), "SAVEPOINT x", insertSQL("no"), "ROLLBACK TO x", insertSQL("g")) // the name again
	s.decideXA(t, "COMMIT", "'a'")
	s.prepareXA(t, "'empty'")
	s.decideXA(t, "COMMIT", "'empty'")
	s.run(t, c, "XA START 'one'", insertSQL("h"), "XA END 'one'", "XA COMMIT 'one' ONE PHASE", insertSQL("end"))
	k.untilID(t, "end")
	_ = k.stop()
	want(t, "shapes", k.ids(), "b", "c", "e", "a1", "a2", "a3", "f", "g", "h", "end")
	p := k.position()
	if len(p.XA) > 0 {
		t.Errorf("undecided at the end: %+v", p.XA)
	}
	s.samePosition(t, p)
	for _, tx := range k.txs {
		if tx.Prepared != nil && len(tx.Messages) > 0 || len(tx.Messages) == 3 && tx.Decided != "X'61',X'',1" {
			t.Errorf("%+v", tx)
		}
	}
}

// restartStream goes on with a reader of its own, until an ID came.
func (s *binlogSource) restartStream(t *testing.T, from checkpoint.Position, id string) *binlogSink {
	t.Helper()
	r := s.reader(t, nil)
	must(t, r.Verify(t.Context(), from))
	k := stream(t, r, from, nil)
	s.run(t, s.conn(t), insertSQL(id))
	k.untilID(t, id)
	_ = k.stop()
	return k
}

// xaResumed: the stream is another one at PREPARE, in between, and at COMMIT.
func xaResumed(t *testing.T, s *binlogSource) {
	from := begin(t, s.reader(t, nil))
	s.prepareXA(t, "'a'", insertSQL("a1", "a2"))
	s.prepareXA(t, "'b'", insertSQL("b"))
	s.prepareXA(t, "'c'", insertSQL("c"))
	k := s.restartStream(t, from, "one")
	want(t, "prepared", k.ids(), "one")
	s.run(t, s.conn(t), "FLUSH BINARY LOGS")
	k = s.restartStream(t, k.position(), "two")
	s.decideXA(t, "COMMIT", "'b'")
	s.decideXA(t, "ROLLBACK", "'c'")
	k = s.restartStream(t, k.position(), "three")
	want(t, "decided", k.ids(), "b", "three")
	k = s.restartStream(t, k.position(), "four")
	s.decideXA(t, "COMMIT", "'a'")
	k = s.restartStream(t, k.position(), "five")
	want(t, "decided at last", k.ids(), "a1", "a2", "five")
	s.samePosition(t, k.position())

	// The connection alone is lost.
	r := s.reader(t, nil)
	k = stream(t, r, k.position(), nil)
	s.prepareXA(t, "'d'", insertSQL("d"))
	s.run(t, s.conn(t), insertSQL("six"))
	k.untilID(t, "six")
	s.killDumps(t)
	s.decideXA(t, "COMMIT", "'d'")
	k.untilID(t, "d")
	want(t, "reconnected", k.ids(), "six", "d")
}

// xaKilled: the server is killed between XA PREPARE and its outcome.
func xaKilled(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	s.prepareXA(t, "'a'", insertSQL("a"))
	s.prepareXA(t, "'b'", insertSQL("b"))
	s.run(t, s.conn(t), insertSQL("before"))
	must(t, s.srv.Kill())
	must(t, s.srv.Restart(t.Context()))
	s.decideXA(t, "ROLLBACK", "'b'")
	s.decideXA(t, "COMMIT", "'a'")
	s.run(t, s.conn(t), insertSQL("end"))
	k.untilID(t, "end")
	_ = k.stop()
	want(t, "killed", k.ids(), "before", "a", "end")
	s.samePosition(t, k.position())
}

// xaFromBefore: what was prepared before the position of a start policy.
func xaFromBefore(t *testing.T, s *binlogSource) {
	s.run(t, s.conn(t), "CREATE TABLE t (a INT)")
	first := begin(t, s.reader(t, nil)).Resume.String()
	for i, start := range []string{binlog.StartLatest, binlog.StartEarliest, first} {
		s.run(t, s.conn(t), "FLUSH BINARY LOGS")
		s.prepareXA(t, "'a'", insertSQL("old"), "DELETE FROM outbox WHERE id='old'")
		s.decideXA(t, "ROLLBACK", "'a'")
		s.prepareXA(t, "'a'", insertSQL("a"), "DELETE FROM outbox WHERE id='a'") // the name again
		s.prepareXA(t, "'b'", insertSQL("b"))
		s.prepareXA(t, "'c'", "INSERT INTO t VALUES (1)")
		r := s.reader(t, func(c *binlog.Config) { c.Start = start })
		k := stream(t, r, begin(t, r), nil)
		s.decideXA(t, "ROLLBACK", "'b'")
		s.decideXA(t, "COMMIT", "'c'")
		s.decideXA(t, "COMMIT", "'a'")
		end := fmt.Sprintf("end-%d", i)
		s.run(t, s.conn(t), insertSQL(end))
		k.untilID(t, end)
		_ = k.stop()
		got := k.ids()
		want(t, start, got[max(0, len(got)-2):], "a", end)
		if start == binlog.StartLatest {
			want(t, start, got, "a", end)
		}
		s.samePosition(t, k.position())
	}
}

// xaSnapshot: rows that are prepared when a snapshot is taken come once. It
// can't be taken before they are decided, since they lock their table.
func xaSnapshot(t *testing.T, s *binlogSource) {
	s.run(t, s.conn(t), insertSQL("k"))
	s.prepareXA(t, "'a'", insertSQL("a"))
	s.prepareXA(t, "'b'", insertSQL("b"))
	r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
	k := stream(t, r, begin(t, r), nil)
	s.decideXA(t, "ROLLBACK", "'b'")
	s.decideXA(t, "COMMIT", "'a'")
	k.untilID(t, "a")
	s.run(t, s.conn(t), insertSQL("z"))
	k.untilID(t, "z")
	_ = k.stop()
	exactly(t, k.ids(), []string{"k", "a", "z"})
	s.samePosition(t, k.position())
}

// xaSnapshotCut: XA transactions that commit between a snapshot that is cut and
// the one that takes it up are told from the rows of the first.
func xaSnapshotCut(t *testing.T, s *binlogSource) {
	s.digits(t)
	s.run(t, s.conn(t), fillSQL("m", 4, 100))
	r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
	cut := errors.New("cut")
	n := 0
	k := stream(t, r, begin(t, r), func(*checkpoint.Transaction) error {
		if n++; n > 3 {
			return cut
		}
		return nil
	})
	<-k.done
	got := k.ids()
	s.prepareXA(t, "'a'", insertSQL("m0001-a", "z-a"))
	s.prepareXA(t, "'b'", insertSQL("m0001-b", "z-b"))
	s.decideXA(t, "COMMIT", "'a'")
	s.decideXA(t, "ROLLBACK", "'b'")
	ids := append(numbered("m", 4), "m0001-a", "z-a", "zz")
	k = stream(t, r, k.position(), nil)
	s.run(t, s.conn(t), insertSQL("zz"))
	k.untilID(t, "zz")
	exactly(t, append(got, k.ids()...), ids)
}

// xaHuge: an XA transaction that is far larger than what may be held comes in
// parts, and goes on inside them.
func xaHuge(t *testing.T, s *binlogSource) {
	s.digits(t)
	small := func(c *binlog.Config) { c.MaxTransactionBytes = 1 << 20 }
	r := s.reader(t, small)
	from := begin(t, r)
	s.prepareXA(t, "'huge'", fillSQL("a", 4, 1000), insertSQL("last"))
	s.prepareXA(t, "'small'", insertSQL("small"))
	s.run(t, s.conn(t), insertSQL("before"))
	s.decideXA(t, "COMMIT", "'huge'")
	s.decideXA(t, "COMMIT", "'small'")
	stop := errors.New("stop")
	var ids []string
	for i := range 3 {
		parts := 0
		k := stream(t, s.reader(t, small), from, func(*checkpoint.Transaction) error {
			switch parts++; {
			case i < 2 && parts > 5:
				return stop
			case parts == 3:
				s.killDumps(t)
			}
			return nil
		})
		if i < 2 {
			<-k.done
			if !errors.Is(k.err, stop) {
				t.Fatal(k.err)
			}
		} else {
			k.untilID(t, "small")
			_ = k.stop()
		}
		checkParts(t, k.txs)
		ids = append(ids, k.ids()...)
		from = k.position()
		must(t, r.Verify(t.Context(), from))
	}
	if all := slices.Concat([]string{"before"}, numbered("a", 4), []string{"last", "small"}); !slices.Equal(ids, all) {
		t.Errorf("the rows or their order differ: %d, want %d", len(ids), len(all))
		exactly(t, ids, all)
	}
	s.samePosition(t, from)
}

// xaFaulty: rows that can't be published halt the stream when they commit.
func xaFaulty(t *testing.T, s *binlogSource) {
	s.run(t, s.conn(t), insertSQL("old"))
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	s.prepareXA(t, "'a'", insertSQL("a"), "UPDATE outbox SET topic='x' WHERE id='old'")
	s.run(t, s.conn(t), insertSQL("b"))
	k.untilID(t, "b")
	s.decideXA(t, "ROLLBACK", "'a'")
	s.prepareXA(t, "'a'", insertSQL("a"), "UPDATE outbox SET topic='x' WHERE id='old'")
	s.run(t, s.conn(t), insertSQL("c"))
	k.untilID(t, "c")
	s.decideXA(t, "COMMIT", "'a'")
	k.halted(t, binlog.ErrUpdate, `ID "old"`)
	want(t, "faulty", k.ids(), "b", "c")
}

// purgeAll leaves one binlog.
func (s *binlogSource) purgeAll(t *testing.T) {
	t.Helper()
	// MariaDB keeps logs until a replica has read them, from 11.4 on.
	_, _ = s.db.ExecContext(t.Context(), "SET GLOBAL slave_connections_needed_for_purge=0")
	consumerEventually(t, "only one binlog is left", func() bool {
		execSQL(t, s.db, "FLUSH BINARY LOGS")
		logs := s.binlogs(t)
		execSQL(t, s.db, "PURGE BINARY LOGS TO '"+logs[len(logs)-1]+"'")
		return len(s.binlogs(t)) == 1
	})
}

// xaPurged: rows whose binlog is purged before their outcome are missed by name.
func xaPurged(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	from := begin(t, r)
	s.prepareXA(t, "'a'", insertSQL("a"))
	s.prepareXA(t, "'b'", insertSQL("b"))
	k := s.restartStream(t, from, "before")
	s.purgeAll(t)
	p := k.position()
	wantHalt(t, r.Verify(t.Context(), p), binlog.ErrPurged, "X'61',X'',1", "XA RECOVER")
	k = stream(t, r, p, nil) // MySQL says so at once, MariaDB when it is asked for the rows
	s.decideXA(t, "COMMIT", "'a'")
	k.halted(t, binlog.ErrPurged, "X'61',X'',1")
	if !errors.Is(k.err, binlog.ErrXA) {
		t.Errorf("%v is not an ErrXA", k.err)
	}
	k = stream(t, r, begin(t, r), nil)
	s.decideXA(t, "COMMIT", "'b'")
	k.halted(t, binlog.ErrPurged, "X'62',X'',1")
}
