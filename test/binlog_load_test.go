package test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// writers commit transactions of one to three rows, and roll some back, until
// told to stop, or n each; what they committed is what they return.
func (s *binlogSource) writers(t *testing.T, name string, count, n int, stop <-chan struct{}) []string {
	t.Helper()
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for w := range count {
		c := s.conn(t)
		wg.Go(func() {
			var own []string
			defer func() { mu.Lock(); all = append(all, own...); mu.Unlock() }()
			for i := 0; n == 0 || i < n; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var ids []string
				for j := range 1 + i%3 {
					ids = append(ids, fmt.Sprintf("%s-%d-%06d-%d", name, w, i, j))
				}
				end := "COMMIT"
				if i%7 == 3 {
					end = "ROLLBACK"
				}
				for _, q := range []string{"BEGIN", insertSQL(ids...), end} {
					if _, err := c.ExecContext(t.Context(), q); err != nil {
						t.Errorf("%s: %v", q, err)
						return
					}
				}
				if end == "COMMIT" {
					own = append(own, ids...)
				}
			}
		})
	}
	wg.Wait()
	return all
}

// killDumps kills every binlog connection.
func (s *binlogSource) killDumps(t *testing.T) int {
	rows, err := s.db.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer rows.Close()
	killed := 0
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			t.Error(err)
			return 0
		}
		if _, err := s.db.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)); err == nil {
			killed++
		}
	}
	return killed
}

// binlogKills: the connection is killed again and again while four writers
// write; nothing is lost, repeated or out of a writer's order. They write until
// it was lost often enough: a killed connection still delivers what it had sent.
func binlogKills(t *testing.T, s *binlogSource) {
	const enough = 5
	lost, stop := 0, make(chan struct{})
	r := s.reader(t, func(c *binlog.Config) {
		c.Hooks.Disconnected = func(error) {
			if lost++; lost == enough {
				close(stop)
			}
		}
	})
	got := 0
	k := stream(t, r, begin(t, r), func(tx *checkpoint.Transaction) error {
		if got++; got%60 == 0 {
			s.killDumps(t)
		}
		return nil
	})
	want := s.writers(t, "w", 4, 20_000, stop)
	s.run(t, s.conn(t), insertSQL("end"))
	k.untilID(t, "end")
	_ = k.stop()
	ids := k.ids()
	exactly(t, ids, append(want, "end"))
	last := make(map[byte]string)
	for _, id := range ids[:len(ids)-1] {
		if w := id[2]; id <= last[w] {
			t.Fatalf("%s comes after %s", id, last[w])
		}
		last[id[2]] = id
	}
	if lost < enough {
		t.Errorf("the connection was lost %d times only", lost)
	}
	s.samePosition(t, k.position())
}

// fill inserts n (a power of ten) rows of size bytes in one statement.
func fillSQL(prefix string, digits, size int) string {
	from := make([]string, digits)
	name := make([]string, digits)
	for i := range digits {
		from[i] = fmt.Sprintf("d d%d", i)
		name[i] = fmt.Sprintf("d%d.n", i)
	}
	id := fmt.Sprintf("CONCAT('%s',%s)", prefix, strings.Join(name, ","))
	return fmt.Sprintf("INSERT INTO outbox (id,topic,payload) SELECT %s, 't', REPEAT(%s,%d) FROM %s ORDER BY 1",
		id, id, size/(len(prefix)+digits), strings.Join(from, " CROSS JOIN "))
}

func (s *binlogSource) digits(t *testing.T) {
	t.Helper()
	execSQL(t, s.db, "CREATE TABLE "+s.schema+".d (n INT PRIMARY KEY)")
	execSQL(t, s.db, "INSERT INTO "+s.schema+".d VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)")
}

func numbered(prefix string, digits int) (ids []string) {
	n := 1
	for range digits {
		n *= 10
	}
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s%0*d", prefix, digits, i))
	}
	return ids
}

// hugeTransaction commits 20,001 rows and 40 MB, with as much rolled back.
func (s *binlogSource) hugeTransaction(t *testing.T) (want []string) {
	t.Helper()
	s.digits(t)
	c := s.conn(t)
	keep := "DO 1"
	if s.srv.Flavor() == dbserver.MySQL {
		s.run(t, c, "SET SESSION binlog_transaction_compression=ON")
	} else { // what is rolled back stays in the binlog, behind a write that can't be
		s.run(t, c, "CREATE TABLE n (a INT) ENGINE=MyISAM")
		keep = "INSERT INTO n VALUES (1)"
	}
	s.run(t, c, insertSQL("before"), "BEGIN", fillSQL("a", 4, 2000), "SAVEPOINT x", fillSQL("b", 4, 2000), keep, "ROLLBACK TO x",
		insertSQL("middle"), fillSQL("c", 4, 2000), "COMMIT", insertSQL("after"))
	return slices.Concat([]string{"before"}, numbered("a", 4), []string{"middle"}, numbered("c", 4), []string{"after"})
}

// checkParts: a transaction's parts follow one another, and only the last one
// says that it is whole. Before they are applied.
func checkParts(t *testing.T, txs []*checkpoint.Transaction) (parts int) {
	t.Helper()
	next := 0
	for i, tx := range txs {
		if tx.Offset != next && next != 0 {
			t.Errorf("part %d of %s begins at %d, not %d", i, tx.GTID, tx.Offset, next)
		}
		if len(tx.Messages) > 998 {
			t.Errorf("part %d has %d rows", i, len(tx.Messages))
		}
		next = 0
		if tx.More {
			next = tx.Offset + len(tx.Messages)
			parts++
		}
	}
	return parts
}

// binlogHuge: a transaction far larger than what may be held comes in parts, in
// order, within a bound of memory, though the connection is lost in between.
func binlogHuge(t *testing.T, s *binlogSource) {
	r := s.reader(t, func(c *binlog.Config) { c.MaxTransactionBytes = 1 << 20 })
	from := begin(t, r)
	want := s.hugeTransaction(t)
	var base, peak uint64
	var ids []string
	var txs []*checkpoint.Transaction
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base = heap()
	done := errors.New("done")
	k := stream(t, r, from, func(tx *checkpoint.Transaction) error {
		peak = max(peak, heap())
		for _, m := range tx.Messages {
			ids = append(ids, m.ID)
			if len(m.Payload) > 100 && string(m.Payload) != strings.Repeat(m.ID, 400) {
				t.Errorf("payload of %s is not its own", m.ID)
			}
		}
		slim := *tx
		slim.Messages = slices.Clone(tx.Messages)
		for i := range slim.Messages {
			slim.Messages[i].Payload = nil
		}
		tx.Messages = slim.Messages
		txs = append(txs, &slim)
		if n := len(txs); n == 5 || n == 12 {
			s.killDumps(t)
		}
		if len(ids) > 0 && ids[len(ids)-1] == "after" {
			return done
		}
		return nil
	})
	<-k.done
	if !errors.Is(k.err, done) {
		t.Fatal(k.err)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("the rows or their order differ: %d, want %d", len(ids), len(want))
		exactly(t, ids, want)
	}
	if n := checkParts(t, txs); n < 10 {
		t.Errorf("%d parts", n)
	}
	if grown := peak - min(base, peak); grown > 24<<20 {
		t.Errorf("the heap grew by %d MiB for 40 MB of rows", grown>>20)
	}
}

// binlogHugeResumed: a relay that stops inside a large transaction goes on
// behind the parts that it published, also with memory for all of it.
func binlogHugeResumed(t *testing.T, s *binlogSource) {
	r := s.reader(t, func(c *binlog.Config) { c.MaxTransactionBytes = 1 << 20 })
	from := begin(t, r)
	want := s.hugeTransaction(t)
	stop := errors.New("stop")
	var ids []string
	var hash uint32
	for _, limit := range []int{1 << 20, 1 << 20, 1 << 30} {
		r = s.reader(t, func(c *binlog.Config) { c.MaxTransactionBytes = limit })
		must(t, r.Verify(t.Context(), from))
		parts := 0
		k := stream(t, r, from, func(tx *checkpoint.Transaction) error {
			if parts++; parts > 6 && limit == 1<<20 {
				return stop
			}
			return nil
		})
		if limit == 1<<30 {
			k.untilID(t, "after")
			_ = k.stop()
			for _, tx := range k.txs {
				if tx.Offset > 0 && !tx.More {
					hash = tx.Hash
				}
			}
		} else {
			<-k.done
			if !errors.Is(k.err, stop) {
				t.Fatal(k.err)
			}
		}
		checkParts(t, k.txs)
		ids = append(ids, k.ids()...)
		from = k.position()
	}
	if !slices.Equal(ids, want) {
		t.Errorf("the rows or their order differ: %d, want %d", len(ids), len(want))
		exactly(t, ids, want)
	}
	if hash == 0 {
		t.Error("no hash on the last part")
	}
}
