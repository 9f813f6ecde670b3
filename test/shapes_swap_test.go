package test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
)

// shapesSwapped: the table is renamed and another one takes its name, as people
// do by hand and as the tools for online changes do, while writers write.
func shapesSwapped(t *testing.T, s *binlogSource) {
	var connects atomic.Int64
	r := s.reader(t, func(c *binlog.Config) { c.Hooks.Connected = func(binlog.Server) { connects.Add(1) } })
	k := stream(t, r, begin(t, r), nil)
	l := s.load(t, 3, func(_ int, ids ...string) string { return derivedSQL("outbox", "topic", ids...) })
	c := s.conn(t)
	s.run(t, c, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED") // copying takes no locks
	l.more(t, 30)
	s.run(t, c, "CREATE TABLE outbox_new LIKE outbox", "ALTER TABLE outbox_new ADD x INT NOT NULL DEFAULT 1 FIRST",
		"RENAME TABLE outbox TO outbox_1, outbox_new TO outbox")
	l.more(t, 30)
	s.swapByTriggers(t)
	l.more(t, 30)
	s.swapBehindLock(t)
	l.more(t, 30)
	// There is no such table for a while, and the connection is lost in it.
	s.run(t, c, "RENAME TABLE outbox TO away")
	before := connects.Load()
	consumerEventually(t, "a new connection", func() bool { s.killDumps(t); return connects.Load() > before })
	s.run(t, c, "CREATE TABLE outbox LIKE away")
	l.more(t, 30)
	l.halt()
	s.run(t, c, insertSQL("end"))
	k.untilID(t, "end")
	_ = k.stop()
	l.check(t, k.txs[:len(k.txs)-1])
	s.samePosition(t, k.position())
}

// swapByTriggers is what pt-online-schema-change does: triggers carry changes over
// while rows are copied, then both tables are renamed.
func (s *binlogSource) swapByTriggers(t *testing.T) {
	c := s.conn(t)
	const columns = "id,topic,message_key,headers,payload,created_at"
	s.run(t, c, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"CREATE TABLE _outbox_new LIKE outbox", "ALTER TABLE _outbox_new MODIFY payload LONGBLOB NOT NULL FIRST",
		"CREATE TRIGGER carry AFTER INSERT ON outbox FOR EACH ROW REPLACE INTO _outbox_new ("+columns+
			") VALUES (NEW.id,NEW.topic,NEW.message_key,NEW.headers,NEW.payload,NEW.created_at)",
		"INSERT IGNORE INTO _outbox_new ("+columns+") SELECT "+columns+" FROM outbox",
		"RENAME TABLE outbox TO _outbox_old, _outbox_new TO outbox", "DROP TABLE _outbox_old")
}

// swapBehindLock is the cut-over of gh-ost: the rename waits behind a lock that
// keeps writers out, until a table that is in its way is dropped.
func (s *binlogSource) swapBehindLock(t *testing.T) {
	a, b := s.conn(t), s.conn(t)
	s.run(t, a, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "CREATE TABLE _outbox_gho LIKE outbox",
		"ALTER TABLE _outbox_gho ADD y VARCHAR(10) DEFAULT 'y' AFTER id", "INSERT INTO _outbox_gho (id,topic,payload) SELECT id,topic,payload FROM outbox",
		"CREATE TABLE _outbox_del (id INT)", "LOCK TABLES outbox WRITE, _outbox_del WRITE")
	renamed := make(chan error, 1)
	go func() {
		_, err := b.ExecContext(t.Context(), "RENAME TABLE outbox TO _outbox_del, _outbox_gho TO outbox")
		renamed <- err
	}()
	s.untilWaiting(t, "RENAME TABLE outbox")
	s.run(t, a, "DROP TABLE _outbox_del", "UNLOCK TABLES")
	must(t, <-renamed)
}

// untilWaiting waits until a statement waits for a table.
func (s *binlogSource) untilWaiting(t *testing.T, statement string) {
	t.Helper()
	consumerEventually(t, statement+" waits", func() bool { return s.isWaiting(t.Context(), statement) })
}

func (s *binlogSource) isWaiting(ctx context.Context, statement string) bool {
	var n int
	err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%' AND info LIKE '"+statement+"%'").Scan(&n)
	return err == nil && n > 0
}

// shapesSnapshotPinned: a change of a table waits until its snapshot is published;
// else the rows of another table would be taken for those of it.
func shapesSnapshotPinned(t *testing.T, s *binlogSource) {
	s.digits(t)
	c := s.conn(t)
	s.run(t, c, "CREATE TABLE second LIKE outbox", "CREATE TABLE spare LIKE outbox", fillSQL("m", 3, 100),
		strings.Replace(fillSQL("n", 3, 100), "outbox", "second", 1))
	r := s.reader(t, func(c *binlog.Config) { c.Start, c.Tables = binlog.StartSnapshot, []string{"outbox", "second"} })
	other, renamed := s.conn(t), make(chan error, 1)
	k := stream(t, r, begin(t, r), func(tx *checkpoint.Transaction) error {
		if tx.Snapshot != nil && tx.Snapshot.After == "m499" { // the first page
			go func() {
				_, err := other.ExecContext(t.Context(), "RENAME TABLE second TO old, spare TO second")
				renamed <- err
			}()
			for len(renamed) == 0 && !s.isWaiting(t.Context(), "RENAME TABLE second") && t.Context().Err() == nil {
			}
		}
		return nil
	})
	k.until(t, "the first page", func(txs []*checkpoint.Transaction) bool { return len(txs) > 0 })
	must(t, <-renamed)
	s.run(t, c, insertSQL("z"))
	k.untilID(t, "z")
	if got := k.ids(); !slices.Equal(got, slices.Concat(numbered("m", 3), numbered("n", 3), []string{"z"})) {
		t.Errorf("%d rows, or their order", len(got))
	}
}

// shapesSnapshotChanged: what takes rows away from a table whose snapshot was cut
// is no DELETE that the binlog shows row by row, and halts all the same.
func shapesSnapshotChanged(t *testing.T, s *binlogSource) {
	s.digits(t)
	for i, change := range []struct {
		statements []string
		word       string // "" where the rows stay
	}{
		{[]string{"TRUNCATE TABLE @t"}, "TRUNCATE TABLE"},
		{[]string{"CREATE TABLE @tx LIKE @t", "RENAME TABLE @t TO @ty, @tx TO @t"}, "RENAME TABLE"},
		{[]string{"CREATE TABLE @tx LIKE @t", "ALTER TABLE @t RENAME TO @ty", "ALTER TABLE @tx RENAME AS @t"}, "RENAME TO"},
		{[]string{"CREATE TABLE @tx LIKE @t", "DROP TABLE @t", "CREATE TABLE @t LIKE @tx"}, "DROP TABLE"},
		{[]string{"ALTER TABLE @t PARTITION BY KEY (id) PARTITIONS 2", "ALTER TABLE @t TRUNCATE PARTITION p0"}, "TRUNCATE PARTITION"},
		{[]string{"SET SESSION binlog_format=STATEMENT", "DELETE FROM @t WHERE id='m900'", "SET SESSION binlog_format=ROW"}, "DELETE in statement format"},
		{[]string{"ALTER TABLE @t ADD x INT FIRST, DROP created_at, ADD created_at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6)", "ALTER TABLE @t RENAME COLUMN x TO y"}, ""},
	} {
		table := fmt.Sprintf("t%d", i)
		on := func(q string) string { return strings.ReplaceAll(strings.ReplaceAll(q, "@t", table), "outbox", table) }
		c := s.conn(t)
		s.run(t, c, "CREATE TABLE "+table+" LIKE outbox", on(fillSQL("m", 3, 100)))
		r := s.reader(t, func(c *binlog.Config) { c.Start, c.Tables = binlog.StartSnapshot, []string{table} })
		cut := errors.New("cut")
		k := stream(t, r, begin(t, r), nil)
		_ = k.stop()
		n := 0
		k = stream(t, r, begin(t, r), func(*checkpoint.Transaction) error {
			if n++; n > 1 {
				return cut
			}
			return nil
		})
		if <-k.done; !errors.Is(k.err, cut) {
			t.Fatal(k.err)
		}
		got, pos := k.ids(), k.position()
		for _, q := range change.statements {
			s.run(t, c, on(q))
		}
		s.run(t, c, on(insertSQL("z")))
		k = stream(t, r, pos, nil)
		if change.word != "" {
			k.halted(t, nil, s.schema+"."+table, on(change.word))
			if len(k.ids()) > 0 {
				t.Errorf("%s: yields %v", change.word, k.ids())
			}
			continue
		}
		k.untilID(t, "z")
		if got = append(got, k.ids()...); !slices.Equal(got, append(numbered("m", 3), "z")) {
			t.Errorf("%d rows, or their order", len(got))
		}
	}
}
