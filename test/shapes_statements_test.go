package test

import (
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// loadFile is a file of rows for LOAD DATA, which the client sends.
func loadFile(t *testing.T, ids ...string) (name string) {
	t.Helper()
	name = t.Name() + "/" + ids[0]
	var rows strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&rows, "%s\tt.%s\tpayload of %s\n", id, id, id)
	}
	mysql.RegisterReaderHandler(name, func() io.Reader { return strings.NewReader(rows.String()) })
	t.Cleanup(func() { mysql.DeregisterReaderHandler(name) })
	return "Reader::" + name
}

// logs says whether the newest binlog holds an event of a kind.
func (s *binlogSource) logs(t *testing.T, kind string) bool {
	t.Helper()
	files := s.binlogs(t)
	rows, err := s.db.QueryContext(t.Context(), "SHOW BINLOG EVENTS IN '"+files[len(files)-1]+"'")
	must(t, err)
	defer rows.Close()
	found := false
	for rows.Next() {
		var name string
		must(t, rows.Scan(new(string), new(string), &name, new(string), new(string), new(string)))
		found = found || name == kind
	}
	must(t, rows.Err())
	return found
}

// inStatements runs statements in statement format.
func (s *binlogSource) inStatements(t *testing.T, c *sql.Conn, queries ...string) {
	t.Helper()
	s.run(t, c, slices.Concat([]string{"SET SESSION binlog_format=STATEMENT"}, queries, []string{"SET SESSION binlog_format=ROW"})...)
}

// shapesLoadData: a file that the client sends, and one that lies on the server,
// in row format; each is one transaction.
func shapesLoadData(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	local := numbered("l", 4)
	s.run(t, c, "LOAD DATA LOCAL INFILE '"+loadFile(t, local...)+"' INTO TABLE outbox (id,topic,payload)")
	file := strings.TrimSuffix(querySQL(t, s.db, "SELECT @@tmpdir"), "/") + "/" + s.schema + ".txt"
	s.run(t, c, "SELECT CONCAT('f',id), topic, payload FROM outbox ORDER BY id LIMIT 3000 INTO OUTFILE '"+file+"'",
		"LOAD DATA INFILE '"+file+"' IGNORE INTO TABLE outbox (id,topic,payload)",
		"LOAD DATA INFILE '"+file+"' IGNORE INTO TABLE outbox (id,topic,payload)", // all of it is there
		"BEGIN", insertSQL("a"), "LOAD DATA LOCAL INFILE '"+loadFile(t, "b", "c")+"' INTO TABLE outbox (id,topic,payload)", insertSQL("d"), "COMMIT",
		"BEGIN", "LOAD DATA LOCAL INFILE '"+loadFile(t, "x")+"' INTO TABLE outbox (id,topic,payload)", "ROLLBACK", insertSQL("end"))
	k.untilID(t, "end")
	_ = k.stop()
	want := local
	for _, id := range local[:3000] {
		want = append(want, "f"+id)
	}
	if got := k.ids(); !slices.Equal(got, append(want, "a", "b", "c", "d", "end")) {
		t.Errorf("%d rows, or their order", len(got))
	}
	s.samePosition(t, k.position())
}

// shapesCreateSelect: rows that come with their table, the outbox itself or
// another one, alone and beside others in a transaction.
func shapesCreateSelect(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	s.run(t, c, insertSQL("a", "b"), "CREATE TABLE kept LIKE outbox", "INSERT INTO kept SELECT * FROM outbox")
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	s.run(t, c, "BEGIN", insertSQL("c"), "CREATE TABLE v AS SELECT * FROM outbox", insertSQL("d"), "COMMIT", "DROP TABLE outbox",
		"CREATE TABLE outbox (PRIMARY KEY (id)) SELECT * FROM kept ORDER BY id", insertSQL("e"))
	k.untilID(t, "e")
	if got := k.ids(); !slices.Equal(got, []string{"c", "d", "a", "b", "e"}) {
		t.Errorf("got %v", got)
	}
}

// shapesStatementFormat: what is logged as a statement brings no rows, so it halts
// in front of its transaction; the position stays, and a restart halts again.
func shapesStatementFormat(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	s.run(t, c, "CREATE TABLE elsewhere LIKE outbox", "CREATE PROCEDURE p (i VARCHAR(20)) INSERT INTO outbox (id,topic,payload) VALUES (i,'t','x')", insertSQL("old"))
	load := func(table, id string) string {
		return "LOAD DATA LOCAL INFILE '" + loadFile(t, id) + "' INTO TABLE " + table + " (id,topic,payload)"
	}
	for _, f := range []struct {
		name    string
		queries []string
		word    string
	}{
		{"load data", []string{load("outbox", "s1")}, "LOAD DATA"},
		{"load data in a transaction", []string{"BEGIN", insertSQL("s2"), load(s.schema+".outbox", "s3"), "COMMIT"}, ""},
		{"insert select", []string{"INSERT INTO outbox (id,topic,payload) SELECT 's4', topic, payload FROM elsewhere WHERE 1=0"}, "INSERT INTO outbox"},
		{"replace", []string{"REPLACE INTO outbox (id,topic,payload) VALUES ('old','t','y')"}, "REPLACE"},
		{"procedure", []string{"CALL p('s5')"}, "INSERT INTO outbox"},
		{"mixed", []string{"SET SESSION binlog_format=MIXED", insertSQL("s6")}, "s6"},
	} {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			r := s.reader(t, nil)
			k := stream(t, r, begin(t, r), nil)
			before := strings.ReplaceAll(f.name, " ", "-")
			s.inStatements(t, c, load("elsewhere", before)) // of no concern
			s.run(t, c, insertSQL(before))
			k.untilID(t, before)
			pos := k.position()
			s.inStatements(t, c, f.queries...)
			k.halted(t, binlog.ErrStatementFormat, "binlog_format=ROW", s.schema+".outbox", f.word)
			if got := k.ids(); !slices.Equal(got, []string{before}) || !k.position().Resume.Equal(pos.Resume) {
				t.Errorf("yielded %v, at %s", got, k.position().Resume)
			}
			k = stream(t, s.reader(t, nil), pos, nil)
			k.halted(t, binlog.ErrStatementFormat)
		})
	}
	for _, kind := range []string{"Begin_load_query", "Execute_load_query"} { // what LOAD DATA is logged as
		if !s.logs(t, kind) {
			t.Errorf("the log has no %s", kind)
		}
	}
}

// shapesUpdates: whatever the binlog logs as an UPDATE of an outbox row halts with
// nothing done, or is passed over without anything else being lost.
func shapesUpdates(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	s.run(t, c, "ALTER TABLE outbox ADD js JSON", insertSQL("old"), "UPDATE outbox SET js='{\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaa\",\"b\":1}' WHERE id='old'")
	const values = " outbox (id,topic,payload) VALUES "
	updates := []struct {
		name    string
		queries []string
		new     string // IDs that are inserted all the same
	}{
		{"replace", []string{"REPLACE" + values + "('n1','t','x'),('old','t','y'),('n2','t','x')"}, "n1 n2"},
		{"upsert", []string{"INSERT" + values + "('n3','t','x'),('old','t','z'),('n4','t','x') ON DUPLICATE KEY UPDATE payload=VALUES(payload)"}, "n3 n4"},
		{"upsert select", []string{"INSERT INTO outbox (id,topic,payload) SELECT id, 'v', 'w' FROM outbox WHERE id='old' ON DUPLICATE KEY UPDATE topic='v'"}, ""},
		{"load data replace", []string{"LOAD DATA LOCAL INFILE '" + loadFile(t, "n6", "old") + "' REPLACE INTO TABLE outbox (id,topic,payload)"}, "n6"},
		{"update of two tables", []string{"UPDATE outbox a JOIN outbox b ON a.id=b.id SET a.topic='w' WHERE a.id='old'"}, ""},
		{"in a transaction", []string{"BEGIN", insertSQL("n7"), "UPDATE outbox SET topic='x' WHERE id='old'", insertSQL("n8"), "COMMIT"}, "n7 n8"},
	}
	if s.srv.Flavor() == dbserver.MySQL {
		updates = append(updates, struct {
			name    string
			queries []string
			new     string
		}{"part of a JSON value", []string{"SET SESSION binlog_row_value_options=PARTIAL_JSON", "UPDATE outbox SET js='{\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaa\",\"b\":1}' WHERE id='old'",
			"UPDATE outbox SET js=JSON_SET(js,'$.b',2) WHERE id='old'"}, ""})
	}
	for _, u := range updates {
		t.Run(strings.ReplaceAll(u.name, " ", "_"), func(t *testing.T) {
			before, after := "before-"+strings.ReplaceAll(u.name, " ", "-"), "after-"+strings.ReplaceAll(u.name, " ", "-")
			pos := begin(t, s.reader(t, nil))
			s.run(t, c, insertSQL(before))
			s.run(t, c, u.queries...)
			s.run(t, c, insertSQL(after))

			k := stream(t, s.reader(t, nil), pos, nil)
			k.halted(t, binlog.ErrUpdate, s.schema+".outbox", "old")
			halted := k.position()
			if got := k.ids(); !slices.Equal(got, []string{before}) {
				t.Errorf("yields %v", got)
			}
			must(t, s.reader(t, nil).Verify(t.Context(), halted))
			k = stream(t, s.reader(t, nil), halted, nil)
			k.halted(t, binlog.ErrUpdate)
			if !k.position().Resume.Equal(halted.Resume) {
				t.Errorf("a restart moves the position to %s", k.position().Resume)
			}
			k = stream(t, s.reader(t, func(c *binlog.Config) { c.OnUpdate = binlog.IgnoreUpdates }), halted, nil)
			k.untilID(t, after)
			if got := k.ids(); !slices.Equal(got, append(strings.Fields(u.new), after)) {
				t.Errorf("passed over: %v", got)
			}
		})
	}
	// What is new is an insert; so is, with a second unique key, what REPLACE deletes first.
	s.run(t, c, "ALTER TABLE outbox ADD uq VARCHAR(20) UNIQUE")
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	s.run(t, c, "REPLACE"+values+"('r1','t','x')", "INSERT"+values+"('r2','t','x') ON DUPLICATE KEY UPDATE topic='y'",
		"INSERT IGNORE"+values+"('r1','t','y'),('r3','t','x')", "DELETE FROM outbox WHERE id='r1'",
		"REPLACE"+values+"('r2','t','z')", insertSQL("r4"))
	k.untilID(t, "r4")
	if got := k.ids(); !slices.Equal(got, []string{"r1", "r2", "r3", "r2", "r4"}) {
		t.Errorf("inserted: %v", got)
	}
}

// shapesIncident: the server could not write to its binlog what it did to a table
// that knows no rollback, and says so there. A new source begins behind it.
func shapesIncident(t *testing.T, s *binlogSource) {
	s.digits(t)
	s.run(t, s.conn(t), "CREATE TABLE n (a LONGTEXT) ENGINE=MyISAM")
	normal := querySQL(t, s.db, "SELECT @@GLOBAL.max_binlog_stmt_cache_size")
	execSQL(t, s.db, "SET GLOBAL max_binlog_stmt_cache_size=4096")
	c := s.conn(t)
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	s.run(t, c, insertSQL("a"))
	if _, err := c.ExecContext(t.Context(), "INSERT INTO n SELECT REPEAT('x',1000) FROM d a, d b, d c"); !isServerError(err, errStmtCacheFull) {
		t.Fatalf("the binlog's cache is not full: %v", err)
	}
	execSQL(t, s.db, "SET GLOBAL max_binlog_stmt_cache_size="+normal)
	s.run(t, c, insertSQL("b"))
	k.halted(t, nil, "incident")
	told := k.err.Error()
	if got := k.ids(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("yielded %v", got)
	}
	k = stream(t, s.reader(t, nil), k.position(), nil)
	k.halted(t, nil, "incident")

	// As it is told: in MySQL the incident has a number, in MariaDB it has to leave the log file.
	next, want := k.position().Resume, []string{"b", "c"}
	if s.srv.Flavor() == dbserver.MySQL {
		_, gtid, _ := strings.Cut(told, "(transaction ")
		gtid, _, _ = strings.Cut(gtid, ")")
		g, err := checkpoint.ParseGTID(gtid)
		must(t, err)
		next.Add(g)
	} else if s.run(t, c, "FLUSH BINARY LOGS"); strings.Contains(told, "FLUSH BINARY LOGS") {
		next, want = begin(t, r).Resume, want[1:]
	}
	s.run(t, c, insertSQL("c"))
	r = s.reader(t, func(c *binlog.Config) { c.Start = next.String() })
	k = stream(t, r, begin(t, r), nil)
	k.untilID(t, "c")
	if got := k.ids(); !slices.Equal(got, want) {
		t.Errorf("behind the incident: %v", got)
	}
}
