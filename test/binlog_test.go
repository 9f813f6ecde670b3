package test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

func TestBinlog(t *testing.T) {
	t.Parallel()
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor})
			for _, test := range []struct {
				name string
				run  func(*testing.T, *binlogSource)
			}{
				{"shapes", binlogShapes},
				{"compressed", binlogCompressed},
				{"halts", binlogHalts},
				{"metadata", binlogMetadata},
				{"policies", binlogPolicies},
				{"check", binlogCheck},
				{"kills", binlogKills},
				{"huge_resumed", binlogHugeResumed},
				{"snapshot", binlogSnapshot},
				{"snapshot_cut", binlogSnapshotCut},
				{"snapshot_stopped", binlogSnapshotStopped},
				{"snapshot_deleted", binlogSnapshotDeleted},
				{"slow", binlogSlow},
				{"paused", binlogPaused},
				{"ways", binlogWays},
				{"tags", binlogTags},
				{"moved", binlogMoved},
				{"restart", binlogRestart},
				{"purged", binlogPurged},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, newBinlogSource(t, srv, db, "s_"+test.name)) })
			}
		})
	}
}

// TestBinlogHuge runs by itself, since it measures the memory of the process.
func TestBinlogHuge(t *testing.T) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			srv, db := startDB(t, dbserver.Options{Flavor: flavor})
			binlogHuge(t, newBinlogSource(t, srv, db, "s_huge"))
		})
	}
}

// binlogShapes: what commits comes, in order; what is rolled back does not.
func binlogShapes(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	s.run(t, c, "CREATE TABLE t (a INT PRIMARY KEY AUTO_INCREMENT, b INT) ENGINE=InnoDB", "CREATE TABLE n (a INT) ENGINE=MyISAM",
		"CREATE TABLE hole LIKE outbox")
	s.blackhole(t, "hole")
	r := s.reader(t, func(c *binlog.Config) { c.Tables = []string{"outbox", "hole"} })
	k := stream(t, r, begin(t, r), nil)
	hole := func(ids ...string) string { return strings.Replace(insertSQL(ids...), "outbox", "hole", 1) }
	shapes := []struct {
		name    string
		queries []string
		want    string
	}{
		{"multi-row", []string{insertSQL("a1", "a2", "a3")}, "a1 a2 a3"},
		{"transaction", []string{"BEGIN", insertSQL("b1"), "INSERT INTO t (b) VALUES (1)", insertSQL("b2"), "COMMIT"}, "b1 b2"},
		{"rollback", []string{"BEGIN", insertSQL("c1"), "ROLLBACK"}, ""},
		{"savepoints", []string{"BEGIN", insertSQL("d1"), "SAVEPOINT `a b`", insertSQL("d2"), "SAVEPOINT x", insertSQL("d3"),
			"ROLLBACK TO `a b`", insertSQL("d4"), "RELEASE SAVEPOINT `a b`", "COMMIT"}, "d1 d4"},
		{"blackhole", []string{hole("e1", "e2")}, "e1 e2"},
		{"blackhole transaction", []string{"BEGIN", hole("f1"), "SAVEPOINT s", hole("f2"), "ROLLBACK TO s", insertSQL("f3"), hole("f4"), "COMMIT"}, "f1 f3 f4"},
		{"blackhole rolled back", []string{"BEGIN", hole("g1"), "ROLLBACK"}, ""},
		{"insert and delete", []string{"BEGIN", insertSQL("h1"), "DELETE FROM outbox WHERE id='h1'", "COMMIT"}, "h1"},
		{"DDL inside", []string{"BEGIN", insertSQL("i1"), "CREATE TABLE u (a INT)", insertSQL("i2"), "COMMIT"}, "i1 i2"},
		{"create select", []string{"CREATE TABLE v AS SELECT * FROM outbox"}, ""},
		{"truncate", []string{insertSQL("j1"), "TRUNCATE TABLE outbox", insertSQL("j1b")}, "j1 j1b"},
		{"insert select", []string{"INSERT INTO outbox (id,topic,payload) SELECT CONCAT('k',id), topic, payload FROM outbox WHERE id='j1b'"}, "kj1b"},
		{"trigger", []string{"CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW INSERT INTO outbox (id,topic,payload) VALUES (CONCAT('l',NEW.b),'t','x')",
			"INSERT INTO t (b) VALUES (7),(8)", "DROP TRIGGER tr"}, "l7 l8"},
		{"column order", []string{"ALTER TABLE outbox ADD extra INT FIRST, MODIFY payload LONGBLOB NOT NULL AFTER extra", insertSQL("m1")}, "m1"},
		{"temporary table", []string{"BEGIN", insertSQL("n1"), "CREATE TEMPORARY TABLE tt (a INT)", "INSERT INTO tt VALUES (1)", insertSQL("n2"), "COMMIT", "DROP TEMPORARY TABLE tt"}, "n1 n2"},
		{"statement elsewhere", []string{"SET SESSION binlog_format=STATEMENT", "INSERT INTO t (b) VALUES (1)", "SET SESSION binlog_format=ROW", insertSQL("o1")}, "o1"},
		{"XA elsewhere", []string{"XA START 'x'", "INSERT INTO t (b) VALUES (1)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'", insertSQL("p1")}, "p1"},
		{"XA in one phase", []string{"XA START 'y'", insertSQL("q1"), "XA END 'y'", "XA COMMIT 'y' ONE PHASE"}, "q1"},
		{"XA rolled back", []string{"XA START 'z'", "INSERT INTO t (b) VALUES (1)", "XA END 'z'", "XA PREPARE 'z'", "XA ROLLBACK 'z'"}, ""},
		{"user variables", []string{"SET @a='r1'", "INSERT INTO outbox (id,topic,payload) VALUES (@a,'t',RAND())"}, "r1"},
	}
	if s.srv.Flavor() == dbserver.MariaDB || s.withoutGTIDs(t) { // MySQL with GTIDs refuses to mix
		shapes = append(shapes, struct {
			name    string
			queries []string
			want    string
		}{"non-transactional and rolled back", []string{"BEGIN", insertSQL("x1"), "SAVEPOINT s", insertSQL("x2"), "INSERT INTO n VALUES (1)", "ROLLBACK TO s", insertSQL("x3"), "COMMIT",
			"BEGIN", insertSQL("x4"), "INSERT INTO n VALUES (2)", "ROLLBACK"}, "x1 x3"})
	}
	var want []string
	for i, shape := range shapes {
		s.run(t, c, shape.queries...)
		end := fmt.Sprintf("end-%d", i)
		s.run(t, c, insertSQL(end))
		k.untilID(t, end)
		want = append(append(want, strings.Fields(shape.want)...), end)
		if got := k.ids(); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", shape.name, got[max(0, len(got)-8):], want[max(0, len(want)-8):])
			want = got
		}
	}
	if err := k.stop(); !errors.Is(err, t.Context().Err()) && !strings.Contains(err.Error(), "canceled") {
		t.Errorf("stopped with %v", err)
	}
	s.samePosition(t, k.position())
}

// blackhole makes a table one of engine BLACKHOLE, which is a plugin in MariaDB.
func (s *binlogSource) blackhole(t *testing.T, table string) {
	t.Helper()
	if s.srv.Flavor() == dbserver.MariaDB {
		_, err := s.db.ExecContext(t.Context(), "INSTALL SONAME 'ha_blackhole'")
		if err != nil && querySQL(t, s.db, "SELECT COUNT(*) FROM information_schema.ENGINES WHERE ENGINE='BLACKHOLE'") == "0" {
			t.Fatalf("this MariaDB lacks a plugin that its whole package (mariadb-server) has: %v", err)
		}
	}
	execSQL(t, s.db, "ALTER TABLE "+s.schema+"."+table+" ENGINE=BLACKHOLE")
}

// samePosition: what was read adds up to what the server executed.
func (s *binlogSource) samePosition(t *testing.T, p checkpoint.Position) {
	t.Helper()
	if !p.Binlog.IsZero() {
		if end := s.logEnd(t); end != p.Binlog.String() || !p.Resume.IsEmpty() {
			t.Errorf("position %+v, the server is at %s", p, end)
		}
		return
	}
	query := "SELECT @@GLOBAL.gtid_executed"
	if s.srv.Flavor() == dbserver.MariaDB {
		query = "SELECT @@GLOBAL.gtid_binlog_pos"
	}
	executed, err := checkpoint.ParseGTIDSet(querySQL(t, s.db, query))
	must(t, err)
	if !executed.Equal(p.Resume) {
		t.Errorf("position %s, the server executed %s", p.Resume, executed)
	}
}

func binlogCompressed(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	if s.srv.Flavor() == dbserver.MariaDB {
		execSQL(t, s.db, "SET GLOBAL log_bin_compress=ON")
		defer execSQL(t, s.db, "SET GLOBAL log_bin_compress=OFF")
		c = s.conn(t)
	} else {
		s.run(t, c, "SET SESSION binlog_transaction_compression=ON")
	}
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	row := func(id string) string {
		return "INSERT INTO outbox (id,topic,payload) VALUES ('" + id + "','t',REPEAT('" + id + "',5000))"
	}
	s.run(t, c, "BEGIN", row("a"), "SAVEPOINT s", row("b"), "ROLLBACK TO s", row("c"), insertSQL("d"), "COMMIT", row("e"), insertSQL("end"))
	k.untilID(t, "end")
	if got := k.ids(); !slices.Equal(got, []string{"a", "c", "d", "e", "end"}) {
		t.Errorf("got %v", got)
	}
	if got := string(k.txs[0].Messages[1].Payload); got != strings.Repeat("c", 5000) {
		t.Errorf("payload %.20q, %d bytes", got, len(got))
	}
}

// binlogHalts: what can't be published as it was committed ends the stream, and
// what comes before it is yielded.
func binlogHalts(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	s.run(t, c, "CREATE TABLE t (a INT PRIMARY KEY AUTO_INCREMENT)", insertSQL("old"))
	statement := func(q ...string) []string {
		return slices.Concat([]string{"SET SESSION binlog_format=STATEMENT"}, q, []string{"SET SESSION binlog_format=ROW"})
	}
	halts := []struct {
		name    string
		queries []string
		is      error
		word    string
	}{
		{"update", []string{"UPDATE outbox SET topic='x' WHERE id='old'"}, binlog.ErrUpdate, `ID "old"`},
		{"replace", []string{"REPLACE INTO outbox (id,topic,payload) VALUES ('old','t','y')"}, binlog.ErrUpdate, "REPLACE"},
		{"upsert", []string{"INSERT INTO outbox (id,topic,payload) VALUES ('old','t','z') ON DUPLICATE KEY UPDATE payload='z'"}, binlog.ErrUpdate, "old"},
		{"statement", statement(insertSQL("s1")), binlog.ErrStatementFormat, "binlog_format=ROW"},
		{"statement in a transaction", statement("BEGIN", "INSERT INTO t VALUES ()", insertSQL("s2"), "COMMIT"), binlog.ErrStatementFormat, s.schema + ".outbox"},
	}
	for _, h := range halts {
		t.Run(strings.ReplaceAll(h.name, " ", "_"), func(t *testing.T) {
			r := s.reader(t, nil)
			k := stream(t, r, begin(t, r), nil)
			before := "before-" + strings.ReplaceAll(h.name, " ", "-")
			s.run(t, c, insertSQL(before))
			s.run(t, c, h.queries...)
			k.halted(t, h.is, h.word)
			if got := k.ids(); !slices.Equal(got, []string{before}) {
				t.Errorf("yielded %v", got)
			}
		})
	}
	t.Run("updates_ignored", func(t *testing.T) {
		r := s.reader(t, func(c *binlog.Config) { c.OnUpdate = binlog.IgnoreUpdates })
		k := stream(t, r, begin(t, r), nil)
		s.run(t, c, insertSQL("before-updates"), "UPDATE outbox SET topic='marked' WHERE id='before-updates'", insertSQL("after-updates"))
		k.untilID(t, "after-updates")
		if got := k.ids(); !slices.Equal(got, []string{"before-updates", "after-updates"}) {
			t.Errorf("yielded %v", got)
		}
	})
	t.Run("rolled_back", func(t *testing.T) {
		r := s.reader(t, nil)
		k := stream(t, r, begin(t, r), nil)
		s.run(t, c, "BEGIN", insertSQL("r1"), "SAVEPOINT s", "UPDATE outbox SET topic='x' WHERE id='old'", "ROLLBACK TO s", insertSQL("r2"), "COMMIT")
		k.untilID(t, "r2")
	})
}

// binlogMetadata: without the names of the columns nothing is guessed.
func binlogMetadata(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	c := s.conn(t)
	s.run(t, c, insertSQL("a"))
	k.untilID(t, "a")
	defer execSQL(t, s.db, "SET GLOBAL binlog_row_metadata=FULL")
	execSQL(t, s.db, "SET GLOBAL binlog_row_metadata=MINIMAL")
	s.run(t, s.conn(t), insertSQL("b"))
	k.halted(t, nil, "binlog_row_metadata=FULL", "s_metadata.outbox")
	_, err := r.Begin(t.Context())
	wantHalt(t, err, nil, "binlog_row_metadata", "MINIMAL")
	var faults *binlog.CheckError
	if !errors.As(err, &faults) || len(faults.Faults) != 1 {
		t.Errorf("faults: %v", err)
	}
	execSQL(t, s.db, "SET GLOBAL binlog_row_metadata=FULL")

	k = stream(t, r, begin(t, r), nil)
	c = s.conn(t)
	s.run(t, c, "SET SESSION binlog_row_image=MINIMAL", "INSERT INTO outbox (id,topic,payload) VALUES ('c','t','x')")
	k.halted(t, nil, "binlog_row_image")
}
