package test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
)

// shapesTables: one source of three outbox tables in two schemas. Transactions
// write all of them, business tables in between, and a table that is called
// outbox and is none; the order of the statements is that of the messages.
func shapesTables(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	other := s.schema + "_2"
	s.run(t, c, "CREATE DATABASE "+other, "CREATE TABLE billing LIKE outbox", "CREATE TABLE "+other+".`out-box$` LIKE outbox",
		"CREATE TABLE "+other+".outbox LIKE outbox", "CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(40))")
	r := s.reader(t, func(c *binlog.Config) { c.Tables = []string{"outbox", "billing", other + ".out-box$"} })
	k := stream(t, r, begin(t, r), nil)
	tables := []string{"outbox", "billing", other + ".`out-box$`"}
	l := new(ledger)
	var wg sync.WaitGroup
	for w := range 4 {
		c := s.conn(t)
		wg.Go(func() {
			for i := range 60 {
				var ids []string
				queries := []string{"BEGIN"}
				for j := range 1 + (i+w)%7 {
					id := fmt.Sprintf("%d-%03d-%d", w, i, j)
					ids = append(ids, id, id+"b")
					queries = append(queries, "INSERT INTO orders (note) VALUES ('a'),('b')", derivedSQL(tables[(i+j)%3], "topic", id),
						derivedSQL(tables[(i+j+j%2)%3], "topic", id+"b"), derivedSQL(other+".outbox", "topic", id),
						"UPDATE orders SET note='c' WHERE id=LAST_INSERT_ID()", "DELETE FROM orders WHERE id=LAST_INSERT_ID()")
				}
				if err := l.commit(t, c, ids, append(queries, "COMMIT")...); err != nil {
					t.Error(err)
				}
				if i%20 == 10 {
					s.killDumps(t)
				}
			}
		})
	}
	wg.Wait()
	s.run(t, c, insertSQL("end"))
	k.untilID(t, "end")
	_ = k.stop()
	l.check(t, k.txs[:len(k.txs)-1])
	s.samePosition(t, k.position())
}

// shapesTriggers: one statement that writes two outbox tables by turns, row by row,
// and one that writes what its triggers read.
func shapesTriggers(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	const to = " (id,topic,payload) VALUES (CONCAT("
	s.run(t, c, "CREATE TABLE billing LIKE outbox", "CREATE TABLE orders (id INT PRIMARY KEY, state VARCHAR(10))",
		"CREATE TRIGGER made AFTER INSERT ON orders FOR EACH ROW BEGIN INSERT INTO outbox"+to+"'a',NEW.id,NEW.state),'t','x'); INSERT INTO billing"+to+"'b',NEW.id,NEW.state),'t','x'); END",
		"CREATE TRIGGER moved AFTER UPDATE ON orders FOR EACH ROW INSERT INTO billing"+to+"OLD.state,NEW.state,NEW.id),'t','x')",
		"CREATE TRIGGER gone BEFORE DELETE ON orders FOR EACH ROW INSERT INTO outbox"+to+"'d',OLD.id),'t','x')")
	r := s.reader(t, func(c *binlog.Config) { c.Tables = []string{"outbox", "billing"} })
	k := stream(t, r, begin(t, r), nil)
	s.run(t, c, "INSERT INTO orders VALUES (1,'new'),(2,'new'),(3,'new')", "UPDATE orders SET state='paid' WHERE id<>2 ORDER BY id",
		"BEGIN", "DELETE FROM orders WHERE id=3", "SAVEPOINT s", "DELETE FROM orders WHERE id=2", "ROLLBACK TO s", "REPLACE INTO orders VALUES (1,'again')", "COMMIT",
		insertSQL("end"))
	k.untilID(t, "end")
	want := strings.Fields("a1new b1new a2new b2new a3new b3new newpaid1 newpaid3 d3 d1 a1again b1again end")
	if got := k.ids(); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if n := len(slices.DeleteFunc(slices.Clone(k.txs), func(tx *checkpoint.Transaction) bool { return len(tx.Messages) == 0 })); n != 4 {
		t.Errorf("in %d transactions, want 4", n)
	}
}
