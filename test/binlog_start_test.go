package test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// binlogPolicies: latest, earliest, a GTID set, and positions that no server has.
func binlogPolicies(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	s.run(t, c, insertSQL("a"))
	latest := begin(t, s.reader(t, nil))
	s.run(t, c, insertSQL("b"), insertSQL("end"))

	k := stream(t, s.reader(t, nil), latest, nil)
	k.untilID(t, "end")
	if got := k.ids(); !slices.Equal(got, []string{"b", "end"}) {
		t.Errorf("latest: %v", got)
	}
	_ = k.stop()

	r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartEarliest })
	k = stream(t, r, begin(t, r), nil)
	k.untilID(t, "end")
	if got := k.ids(); !slices.Equal(got, []string{"a", "b", "end"}) {
		t.Errorf("earliest: %v", got)
	}
	_ = k.stop()

	r = s.reader(t, func(c *binlog.Config) { c.Start = latest.Resume.String() })
	p := begin(t, r)
	if !p.Resume.Equal(latest.Resume) {
		t.Errorf("GTID set: %s, want %s", p.Resume, latest.Resume)
	}

	ahead, other := p.Clone(), p.Clone()
	g, err := checkpoint.ParseGTID("00000000-0000-0000-0000-00000000000a:5")
	if s.srv.Flavor() == dbserver.MariaDB {
		g, err = checkpoint.ParseGTID("0-77-5")
	}
	must(t, err)
	ahead.Resume.Add(g)
	wantHalt(t, r.Verify(t.Context(), ahead), binlog.ErrForeign, g.String())
	other.Flavor, other.Resume = checkpoint.MariaDB, checkpoint.GTIDSet{}
	if s.srv.Flavor() == dbserver.MariaDB {
		other.Flavor = checkpoint.MySQL
	}
	wantHalt(t, r.Verify(t.Context(), other), binlog.ErrForeign, string(other.Flavor))
	k = stream(t, r, ahead, nil)
	k.halted(t, binlog.ErrForeign, g.String())
	must(t, r.Verify(t.Context(), p))
}

// binlogCheck: an account with too little is told what to grant, one that may
// only replicate can read all the same.
func binlogCheck(t *testing.T, s *binlogSource) {
	user := "u_" + s.schema
	execSQL(t, s.db, "CREATE USER "+user+"@'%' IDENTIFIED BY 'secret'")
	as := func(start, password string) *binlog.Reader {
		return s.reader(t, func(c *binlog.Config) { c.User, c.Password, c.Start = user, password, start })
	}
	if _, err := as(binlog.StartLatest, "wrong").Begin(t.Context()); err == nil || strings.Contains(err.Error(), "wrong") || !strings.Contains(err.Error(), user) {
		t.Errorf("wrong password: %v", err)
	}
	_, err := as(binlog.StartLatest, "secret").Begin(t.Context())
	wantHalt(t, err, nil, "GRANT REPLICATION SLAVE ON *.* TO '"+user+"'@'%'")
	execSQL(t, s.db, "GRANT REPLICATION SLAVE ON *.* TO "+user+"@'%'")
	r := as(binlog.StartLatest, "secret")
	k := stream(t, r, begin(t, r), nil)
	must(t, r.Verify(t.Context(), k.pos))
	s.run(t, s.conn(t), insertSQL("a"))
	k.untilID(t, "a")
	begin(t, as(binlog.StartEarliest, "secret"))

	r = as(binlog.StartSnapshot, "secret")
	_, err = r.Begin(t.Context())
	wantHalt(t, err, nil, "GRANT SELECT ON `"+s.schema+"`.`outbox`")
	for ask, at := range map[string]checkpoint.Position{"": k.position(), "grant SELECT on " + s.schema + ".outbox": {Snapshot: &checkpoint.Snapshot{Begun: true}}} {
		findings, err := r.CheckAt(t.Context(), at)
		must(t, err)
		if i := slices.IndexFunc(findings, func(f binlog.Finding) bool { return !f.OK }); i < 0 != (ask == "") || i >= 0 && findings[i].Name != ask {
			t.Errorf("at %+v: %v, want %q", at, findings, ask)
		}
	}
	execSQL(t, s.db, "GRANT SELECT ON "+s.schema+".outbox TO "+user+"@'%'")
	// On MariaDB only where XA is in use, which it is once another test has used it.
	if _, err = r.Begin(t.Context()); err != nil || s.srv.Flavor() == dbserver.MySQL {
		wantHalt(t, err, nil, "GRANT LOCK TABLES ON `"+s.schema+"`.*")
		execSQL(t, s.db, "GRANT LOCK TABLES ON "+s.schema+".* TO "+user+"@'%'")
	}
	k = stream(t, r, begin(t, r), nil)
	k.untilID(t, "a")

	execSQL(t, s.db, "CREATE TABLE "+s.schema+".bad (id INT, topic POINT, headers JSON, payload TEXT CHARACTER SET utf16, created_at DATE) ENGINE=MyISAM")
	r = s.reader(t, func(c *binlog.Config) { c.Tables = []string{"bad", "gone", "OUTBOX"}; c.Start = binlog.StartSnapshot })
	findings, err := r.Check(t.Context())
	must(t, err)
	var bad []string
	for _, f := range findings {
		if !f.OK {
			bad = append(bad, f.Name)
			if f.Fix == "" {
				t.Errorf("%s has no fix", f)
			}
		}
	}
	b := s.schema + ".bad"
	want := []string{"table " + b + " engine", "table " + b + " key", "column " + b + ".id", "column " + b + ".topic", "column " + b + ".message_key",
		"column " + b + ".payload", "column " + b + ".created_at", "table " + s.schema + ".gone", "table " + s.schema + ".OUTBOX"}
	if !slices.Equal(bad, want) {
		t.Errorf("faults %q\nwant   %q", bad, want)
	}
}

// binlogSnapshot: the rows that were there, and those that came meanwhile, each
// exactly once, with eight writers at work.
func binlogSnapshot(t *testing.T, s *binlogSource) { snapshotsUnderLoad(t, s, 5) }

func snapshotsUnderLoad(t *testing.T, s *binlogSource, rounds int) {
	for round := range rounds {
		stop := make(chan struct{})
		var writing sync.WaitGroup
		var want []string
		name := fmt.Sprintf("r%d", round)
		execSQL(t, s.db, "TRUNCATE TABLE "+s.schema+".outbox")
		before := s.writers(t, name+"b", 2, 300, nil)
		writing.Go(func() { want = s.writers(t, name+"w", 8, 0, stop) })
		r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
		k := stream(t, r, begin(t, r), nil)
		k.until(t, "snapshot and a hundred transactions", func(txs []*checkpoint.Transaction) bool {
			n := 0
			for _, tx := range txs {
				if tx.Snapshot == nil && len(tx.Messages) > 0 {
					n++
				}
			}
			return n >= 100
		})
		close(stop)
		writing.Wait()
		s.run(t, s.conn(t), insertSQL("end"))
		k.untilID(t, "end")
		_ = k.stop()
		exactly(t, k.ids(), slices.Concat(before, want, []string{"end"}))
		snapshotParts(t, k.txs)
	}
}

// snapshotParts: the snapshot comes first, in the order of the ID, and ends once.
func snapshotParts(t *testing.T, txs []*checkpoint.Transaction) {
	t.Helper()
	ended, last := false, ""
	for _, tx := range txs {
		if tx.Snapshot == nil {
			if !ended {
				t.Fatal("a transaction before the snapshot's end")
			}
			continue
		}
		if ended || len(tx.Messages) > 500 || tx.At.IsEmpty() == tx.Binlog.IsZero() || !tx.Snapshot.Begun {
			t.Errorf("part of a snapshot: ended before: %v, %d rows, at %s", ended, len(tx.Messages), tx.At)
		}
		ended = tx.End
		for _, m := range tx.Messages {
			if m.ID <= last {
				t.Errorf("%s comes after %s", m.ID, last)
			}
			last = m.ID
		}
	}
	if !ended {
		t.Error("the snapshot has no end")
	}
}

// binlogSnapshotStopped: a reader is told to stop in any moment of a snapshot's beginning.
func binlogSnapshotStopped(t *testing.T, s *binlogSource) {
	s.run(t, s.conn(t), insertSQL("a"))
	r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
	pos := begin(t, r)
	for after := time.Duration(0); after < 40*time.Millisecond; after += 500 * time.Microsecond {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		err := r.Stream(ctx, pos.Clone(), func(*checkpoint.Transaction) error { return nil })
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("told to stop after %v: %v", after, err)
		}
	}
}

// binlogSnapshotCut: a snapshot that is cut again and again, with writers whose
// IDs fall into what is still to come, is still one of its first moment.
func binlogSnapshotCut(t *testing.T, s *binlogSource) {
	s.digits(t)
	execSQL(t, s.db, "CREATE TABLE "+s.schema+".second LIKE "+s.schema+".outbox")
	c := s.conn(t)
	s.run(t, c, fillSQL("m", 4, 100), strings.Replace(fillSQL("n", 3, 100), "outbox", "second", 1))
	r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot; c.Tables = []string{"outbox", "second"} })
	want := slices.Concat(numbered("m", 4), numbered("n", 3))
	pos := begin(t, r)
	cut := errors.New("cut")
	var got []string
	for i := 0; ; i++ {
		// Some before, some behind what is published; some come and go.
		s.run(t, c, insertSQL(fmt.Sprintf("a%d", i), fmt.Sprintf("m5000-%d", i), fmt.Sprintf("z%d", i)),
			strings.Replace(insertSQL(fmt.Sprintf("n5-%d", i)), "outbox", "second", 1),
			"BEGIN", insertSQL(fmt.Sprintf("mm%d", i)), fmt.Sprintf("DELETE FROM outbox WHERE id='mm%d'", i), "COMMIT")
		if i > 0 { // the snapshot begins with the first part, behind this first insert
			want = append(want, fmt.Sprintf("mm%d", i))
		}
		want = append(want, fmt.Sprintf("a%d", i), fmt.Sprintf("m5000-%d", i), fmt.Sprintf("z%d", i), fmt.Sprintf("n5-%d", i))
		n := 0
		k := stream(t, r, pos, func(tx *checkpoint.Transaction) error {
			switch n++; {
			case n > 4 && i < 4:
				return cut
			case n == 2:
				s.killDumps(t)
			}
			return nil
		})
		if i < 4 {
			if <-k.done; !errors.Is(k.err, cut) {
				t.Fatal(k.err)
			}
		} else {
			s.run(t, c, insertSQL("zz-end"))
			k.untilID(t, "zz-end")
		}
		_ = k.stop()
		got = append(got, k.ids()...)
		pos = k.position()
		if pos.Snapshot == nil {
			break
		}
	}
	exactly(t, got, append(want, "zz-end"))
}

// binlogSnapshotDeleted: a row that is deleted before its snapshot came to it is
// not passed over.
func binlogSnapshotDeleted(t *testing.T, s *binlogSource) {
	s.digits(t)
	c := s.conn(t)
	s.run(t, c, fillSQL("m", 3, 100))
	r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartSnapshot })
	cut := errors.New("cut")
	n := 0
	k := stream(t, r, begin(t, r), func(*checkpoint.Transaction) error {
		if n++; n > 1 {
			return cut
		}
		return nil
	})
	<-k.done
	pos := k.position()
	s.run(t, c, "DELETE FROM outbox WHERE id='m001'")
	k = stream(t, r, pos, func(*checkpoint.Transaction) error { return cut })
	if <-k.done; !errors.Is(k.err, cut) {
		t.Errorf("a row that was published and deleted: %v", k.err)
	}
	s.run(t, c, "DELETE FROM outbox WHERE id='m900'")
	k = stream(t, r, pos, nil)
	k.halted(t, nil, "m900", "deleted")
}

// binlogRestart: the server goes and comes back, by kill and by stop.
func binlogRestart(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	for i := range 3 {
		id := fmt.Sprintf("a%d", i)
		_, err := s.db.ExecContext(t.Context(), strings.Replace(insertSQL(id), "outbox", s.schema+".outbox", 1))
		must(t, err)
		k.untilID(t, id)
		if i > 0 { // a clean stop of MySQL waits ten seconds for its replicas
			must(t, s.srv.Kill())
		}
		must(t, s.srv.Restart(t.Context()))
	}
	must(t, s.srv.Pause())
	must(t, s.srv.Resume())
	s.run(t, s.conn(t), insertSQL("end"))
	k.untilID(t, "end")
	if got := k.ids(); !slices.Equal(got, []string{"a0", "a1", "a2", "end"}) {
		t.Errorf("got %v", got)
	}
	// A paused server does not hold up the end.
	must(t, s.srv.Pause())
	_ = k.stop()
	must(t, s.srv.Resume())
}

// binlogPurged: when the logs behind the position are gone, nobody goes on.
func binlogPurged(t *testing.T, s *binlogSource) {
	// MariaDB keeps logs until a replica has read them, from 11.4 on.
	_, _ = s.db.ExecContext(t.Context(), "SET GLOBAL slave_connections_needed_for_purge=0")
	r := s.reader(t, nil)
	c := s.conn(t)
	s.run(t, c, insertSQL("a"))
	p := begin(t, r)
	s.run(t, c, insertSQL("b"), "FLUSH BINARY LOGS", insertSQL("c"), "FLUSH BINARY LOGS")
	consumerEventually(t, "only one binlog is left", func() bool {
		logs := s.binlogs(t)
		execSQL(t, s.db, "PURGE BINARY LOGS TO '"+logs[len(logs)-1]+"'")
		return len(s.binlogs(t)) == 1
	})

	wantHalt(t, r.Verify(t.Context(), p), binlog.ErrPurged)
	k := stream(t, r, p, nil)
	k.halted(t, binlog.ErrPurged)

	r = s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartEarliest })
	k = stream(t, r, begin(t, r), nil)
	s.run(t, c, insertSQL("d"))
	k.untilID(t, "d")
	if got := k.ids(); !slices.Equal(got, []string{"d"}) {
		t.Errorf("earliest after a purge: %v", got)
	}
}

// binlogs are the names of the server's binlogs.
func (s *binlogSource) binlogs(t *testing.T) (names []string) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "SHOW BINARY LOGS")
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(string)
		}
		must(t, rows.Scan(values...))
		names = append(names, *values[0].(*string))
	}
	must(t, rows.Err())
	return names
}
