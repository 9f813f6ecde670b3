package test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// shapesAltered: the table is changed in every way that leaves its mapped columns
// their names, while writers write and the connection is lost now and then.
func shapesAltered(t *testing.T, s *binlogSource) {
	changes := []string{
		"ALTER TABLE outbox ADD first INT NOT NULL DEFAULT 7 FIRST",
		"ALTER TABLE outbox ADD middle VARCHAR(300) NOT NULL DEFAULT 'm' AFTER topic, ADD last DECIMAL(30,10) NOT NULL DEFAULT 1.5",
		"ALTER TABLE outbox MODIFY payload LONGBLOB NOT NULL FIRST",
		"ALTER TABLE outbox MODIFY headers LONGBLOB NULL AFTER payload, MODIFY topic VARCHAR(400) CHARACTER SET utf8mb4 NOT NULL AFTER last",
		"TRUNCATE TABLE outbox",
		"ALTER TABLE outbox PARTITION BY KEY (id) PARTITIONS 3",
		"ALTER TABLE outbox TRUNCATE PARTITION ALL",
		"ALTER TABLE outbox REMOVE PARTITIONING",
		"ALTER TABLE outbox ADD (b BIT(13) NOT NULL DEFAULT b'1010', e ENUM('x','y') DEFAULT 'y', st SET('p','q') DEFAULT 'p,q', f DOUBLE DEFAULT 0.1, " +
			"d DATE DEFAULT '2020-02-02', ti TIME(3) DEFAULT '-11:12:13.456', dt DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), y YEAR DEFAULT 1999, " +
			"bi BINARY(5) DEFAULT 'ab', la VARCHAR(9) CHARACTER SET latin1 DEFAULT 'caf\u00e9', ut CHAR(9) CHARACTER SET utf16 DEFAULT 'u', nothing BIGINT UNSIGNED)",
		"ALTER TABLE outbox ADD js JSON DEFAULT ('{\"a\":[1,2.5,null,\"x\"]}'), ADD po POINT DEFAULT (POINT(1,2)) FIRST",
		"ALTER TABLE outbox ADD gv INT GENERATED ALWAYS AS (LENGTH(topic)) VIRTUAL FIRST, ADD gs INT GENERATED ALWAYS AS (LENGTH(id)) STORED AFTER id",
		"ALTER TABLE outbox ADD hidden INT NOT NULL DEFAULT 3 INVISIBLE FIRST",
		"ALTER TABLE outbox DROP first, DROP middle, ADD INDEX (created_at)",
		"ALTER TABLE outbox ENGINE=InnoDB, ROW_FORMAT=COMPRESSED",
	}
	changes = append(changes, s.ownTypes()...)
	c := s.conn(t)
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	l := s.load(t, 3, func(_ int, ids ...string) string { return derivedSQL("outbox", "topic", ids...) })
	for i, change := range changes {
		l.more(t, 20)
		s.run(t, c, change)
		if i%3 == 2 {
			s.killDumps(t)
		}
	}
	l.more(t, 20)
	l.halt()
	s.run(t, c, insertSQL("end"))
	k.untilID(t, "end")
	_ = k.stop()
	l.check(t, k.txs[:len(k.txs)-1])
	s.samePosition(t, k.position())
}

// ownTypes adds columns of types that only this flavour has, and of its newest version.
func (s *binlogSource) ownTypes() (changes []string) {
	vector := "ALTER TABLE outbox ADD ve VECTOR(3) DEFAULT (TO_VECTOR('[1,2,3]')) FIRST"
	if s.srv.Flavor() == dbserver.MariaDB {
		changes = append(changes, "ALTER TABLE outbox ADD u UUID DEFAULT UUID() FIRST, ADD i4 INET4 DEFAULT '1.2.3.4' FIRST, ADD i6 INET6 DEFAULT '::1'",
			"ALTER TABLE outbox ADD SYSTEM VERSIONING", "ALTER TABLE outbox DROP SYSTEM VERSIONING")
		vector = "ALTER TABLE outbox ADD ve VECTOR(3) NOT NULL DEFAULT VEC_FromText('[1,2,3]') FIRST"
	}
	if testdb.HasVectors(s.srv) {
		changes = append(changes, vector)
	}
	return append(changes, "ALTER TABLE outbox DROP PRIMARY KEY")
}

// shapesRenamedColumn: a mapped column is renamed away and back while writers
// write. A row keeps the column names of its moment in the binlog, so each time
// the reader halts in front of the first row of the other name, and goes on once
// that is mapped.
func shapesRenamedColumn(t *testing.T, s *binlogSource) {
	columns := []string{"topic", "subject"}
	c := s.conn(t)
	pos := begin(t, s.reader(t, nil))
	l := s.load(t, 3, func(try int, ids ...string) string { return derivedSQL("outbox", columns[try%2], ids...) })
	for i := range 4 {
		l.more(t, 20)
		s.run(t, c, "ALTER TABLE outbox RENAME COLUMN "+columns[i%2]+" TO "+columns[(i+1)%2])
	}
	l.more(t, 20)
	l.halt()
	s.run(t, c, derivedSQL("outbox", "topic", "end"))
	var all []*checkpoint.Transaction
	for i := range 5 {
		mapped := func(c *binlog.Config) { c.Columns.Topic = columns[i%2] }
		r := s.reader(t, mapped)
		must(t, r.Verify(t.Context(), pos))
		k := stream(t, r, pos, nil)
		if i == 4 {
			k.untilID(t, "end")
			_ = k.stop()
			all = append(all, k.txs[:len(k.txs)-1]...)
			break
		}
		k.halted(t, nil, s.schema+".outbox", "had no column "+columns[i%2], "source.columns")
		var row *binlog.RowError
		if !errors.As(k.err, &row) || row.GTID.IsZero() {
			t.Errorf("%v names no row", k.err)
		}
		all, pos = append(all, k.txs...), k.position()
		// Without a change it halts at the same place, with nothing done.
		again := stream(t, s.reader(t, mapped), pos, nil)
		again.halted(t, nil, row.GTID.String())
		if len(again.txs) > 0 && len(again.ids()) > 0 {
			t.Errorf("yields %v before it halts again", again.ids())
		}
	}
	l.check(t, all)
}

// shapesRenamedColumnCommand: the same for the process, which was not running when
// the column was renamed. What the table looks like now does not keep it from what
// was written before; it halts at the first row behind, changing nothing, and goes
// on once the other name is mapped.
func shapesRenamedColumnCommand(t *testing.T, w *cmdWorld) {
	w.init(t)
	insert := func(column, id string) {
		execSQL(t, w.db, derivedSQL(w.schema+".outbox", column, id))
	}
	d := w.start(t, nil)
	insert("topic", "a")
	d.published(t, w, 1)
	if code := d.stop(t); code != 0 {
		t.Fatalf("exit %d", code)
	}
	insert("topic", "b")
	execSQL(t, w.db, "ALTER TABLE "+w.schema+".outbox RENAME COLUMN topic TO subject")
	insert("subject", "c")

	var stream []string
	for range 2 {
		d = w.start(t, nil)
		if code := d.wait(t); code != 3 || !strings.Contains(d.text(), "had no column topic") || !strings.Contains(d.text(), "source.columns") {
			t.Errorf("exit %d", code)
		}
		if stream = w.streamIDs(t); !slices.Equal(stream, []string{"a", "b"}) {
			t.Errorf("the stream holds %v", stream)
		}
	}
	d = w.start(t, map[string]string{"BINJET_SOURCE_COLUMNS_TOPIC": "subject"})
	insert("subject", "d")
	d.published(t, w, 2)
	if stream = w.streamIDs(t); !slices.Equal(stream, []string{"a", "b", "c", "d"}) {
		t.Errorf("the stream holds %v", stream)
	}
}
