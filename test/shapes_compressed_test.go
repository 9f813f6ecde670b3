package test

import (
	"crypto/sha512"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// TestCompressed runs by itself, since it measures the memory of the process.
func TestCompressed(t *testing.T) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			srv, db := startDB(t, dbserver.Options{Flavor: flavor})
			t.Run("mixed", func(t *testing.T) { compressedMixed(t, newBinlogSource(t, srv, db, "z_mixed")) })
			t.Run("memory", func(t *testing.T) { compressedMemory(t, newBinlogSource(t, srv, db, "z_memory")) })
		})
	}
}

// compress has what a session commits from now on compressed, or not. In MariaDB
// that is a setting of the server.
func (s *binlogSource) compress(t *testing.T, c *sql.Conn, on string) {
	t.Helper()
	if s.srv.Flavor() == dbserver.MariaDB {
		execSQL(t, s.db, "SET GLOBAL log_bin_compress="+on)
		return
	}
	s.run(t, c, "SET SESSION binlog_transaction_compression="+on)
}

// compressedMixed: compressed and plain transactions by turns in one log, small
// ones and such that are read in parts, with savepoints that roll back, while the
// connection is lost again and again.
func compressedMixed(t *testing.T, s *binlogSource) {
	s.digits(t)
	c := s.conn(t)
	s.run(t, c, "CREATE TABLE n (a INT) ENGINE=MyISAM")
	keep := "DO 1"
	if s.srv.Flavor() == dbserver.MariaDB { // what is rolled back stays in the log, behind a write that can't be
		keep = "INSERT INTO n VALUES (1)"
	}
	from := begin(t, s.reader(t, nil))
	var want []string
	for i, on := range []string{"OFF", "ON", "OFF", "ON", "ON", "OFF"} {
		s.compress(t, c, on)
		id := func(name string) string { return fmt.Sprintf("%d%s", i, name) }
		s.run(t, c, insertSQL(id("a")), "BEGIN", fillSQL(id("b"), 3, 2000), "SAVEPOINT x", fillSQL(id("c"), 3, 2000), keep, "SAVEPOINT y", insertSQL(id("d")),
			"ROLLBACK TO x", insertSQL(id("e")), fillSQL(id("f"), 3, 2000), "COMMIT", "BEGIN", insertSQL(id("g")), "ROLLBACK", insertSQL(id("h")))
		want = slices.Concat(want, []string{id("a")}, numbered(id("b"), 3), []string{id("e")}, numbered(id("f"), 3), []string{id("h")})
	}
	s.compress(t, c, "OFF")
	r := s.reader(t, func(c *binlog.Config) { c.MaxTransactionBytes = 1 << 20 })
	parts := 0
	k := stream(t, r, from, func(*checkpoint.Transaction) error {
		if parts++; parts%8 == 0 {
			s.killDumps(t)
		}
		return nil
	})
	k.untilID(t, want[len(want)-1])
	_ = k.stop()
	if got := k.ids(); !slices.Equal(got, want) {
		t.Errorf("the rows or their order differ: %d, want %d", len(got), len(want))
		exactly(t, got, want)
	}
	for _, tx := range k.txs {
		for _, m := range tx.Messages {
			if len(m.Payload) > 100 && string(m.Payload) != strings.Repeat(m.ID, 2000/len(m.ID)) {
				t.Fatalf("payload of %s is not its own", m.ID)
			}
		}
	}
	checkParts(t, k.txs)
	s.samePosition(t, k.position())
}

// compressedMemory: inflated, a transaction takes no more memory than a plain one,
// however large. Compressed, MySQL sends it as one packet, which is held, and which
// max_allowed_packet does not bound; in MariaDB each row event is compressed alone.
func compressedMemory(t *testing.T, s *binlogSource) {
	const mib = 1 << 20
	s.digits(t)
	s.blackhole(t, "outbox")
	execSQL(t, s.db, "SET GLOBAL max_allowed_packet=4194304")
	c := s.conn(t)
	s.compress(t, c, "ON")
	defer s.compress(t, c, "OFF")

	from := begin(t, s.reader(t, nil))
	s.run(t, c, fillSQL("m", 4, 5000))
	packet, grown := s.readCompressed(t, from, func(m *binjet.Message) bool { return string(m.Payload) == strings.Repeat(m.ID, 1000) })
	t.Logf("50 MB that compress well: packets of %d KiB, the heap grew by %d MiB", packet>>10, grown/mib)
	if packet > mib || grown > 40*mib {
		t.Errorf("the heap grew by %d MiB, by a packet of %d KiB", grown/mib, packet>>10)
	}

	from = begin(t, s.reader(t, nil))
	s.run(t, c, strings.Replace(fillSQL("r", 4, 0), "REPEAT(CONCAT('r',d0.n,d1.n,d2.n,d3.n),0)", "CONCAT("+denseSQL("CONCAT('r',d0.n,d1.n,d2.n,d3.n)")+")", 1))
	packet, grown = s.readCompressed(t, from, func(m *binjet.Message) bool { return string(m.Payload) == dense(m.ID) })
	t.Logf("20 MB that do not compress: packets of %d KiB, the heap grew by %d MiB", packet>>10, grown/mib)
	limit := 40 * mib
	if s.srv.Flavor() == dbserver.MySQL {
		limit += 4 * packet
		if packet < 19*mib {
			t.Errorf("a packet of %d KiB: it does not hold all of the transaction", packet>>10)
		}
	} else if packet > mib {
		t.Errorf("a packet of %d KiB holds more than a few rows", packet>>10)
	}
	if grown > limit {
		t.Errorf("the heap grew by %d MiB, by a packet of %d KiB", grown/mib, packet>>10)
	}
}

// dense is 2 KB that follow from an ID and do not compress; denseSQL makes the same.
func dense(id string) string {
	var b []byte
	for i := range 32 {
		sum := sha512.Sum512([]byte(fmt.Sprint(id, i)))
		b = append(b, sum[:]...)
	}
	return string(b)
}

func denseSQL(id string) string {
	list := make([]string, 32)
	for i := range list {
		list[i] = fmt.Sprintf("UNHEX(SHA2(CONCAT(%s,%d),512))", id, i)
	}
	return strings.Join(list, ",")
}

// readCompressed reads a transaction of 10,000 rows, and returns the largest packet
// of it and by how much the live heap grew at most.
func (s *binlogSource) readCompressed(t *testing.T, from checkpoint.Position, own func(*binjet.Message) bool) (packet, grown int) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	live := func() int { metrics.Read(sample); return int(sample[0].Value.Uint64()) }
	runtime.GC()
	base, most := live(), 0
	r := s.reader(t, func(c *binlog.Config) {
		c.MaxTransactionBytes = 4 << 20
		c.Hooks.Received = func(n int) {
			if packet = max(packet, n); n > 1<<20 {
				runtime.GC() // the packet is held now
			}
			most = max(most, live())
		}
	})
	done := errors.New("done")
	rows := 0
	err := r.Stream(t.Context(), from, func(tx *checkpoint.Transaction) error {
		most = max(most, live())
		for i := range tx.Messages {
			if !own(&tx.Messages[i]) {
				return fmt.Errorf("payload of %s is not its own", tx.Messages[i].ID)
			}
			rows++
		}
		if rows == 10_000 && !tx.More {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("after %d rows: %v", rows, err)
	}
	return packet, max(most-base, 0)
}
