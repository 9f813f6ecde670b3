package binlog

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// transaction is the events of one of MySQL, of one row of that table.
func transaction(tb testing.TB, name string) [][]byte {
	tables := bytes.Replace(unhex(tb, mysqlTableMap), []byte("outbox"), []byte(name), 1)
	begin := binary.LittleEndian.AppendUint32(nil, 8) // the thread
	begin = append(begin, 0, 0, 0, 0, 4, 0, 0, 0, 0)  // time, length of the schema, error, no variables
	begin = append(begin, "shop\x00BEGIN"...)
	return [][]byte{rawEvent(tb, rawGTID), framed(replication.QUERY_EVENT, begin), framed(replication.TABLE_MAP_EVENT, tables),
		framed(replication.WRITE_ROWS_EVENTv2, unhex(tb, mysqlRows)), framed(replication.XID_EVENT, []byte{6, 0, 0, 0, 0, 0, 0, 0})}
}

// BenchmarkTransaction is what a transaction costs from bytes to group, beside go-mysql's
// reading of its headers.
func BenchmarkTransaction(b *testing.B) {
	tables := shop()
	for _, name := range []string{"outbox", "others"} {
		events := transaction(b, name)
		b.Run(name, func(b *testing.B) {
			p := newParser(flavorName(checkpoint.MySQL), tables, false)
			a := &assembler{tables: tables, decode: newDecoder(newMapping(Config{}.withDefaults())), limit: 1 << 20}
			take := func(ev *replication.BinlogEvent) error {
				_, err := a.add(ev)
				return err
			}
			read(b, rawEvent(b, rawFormat), events, func(raw []byte) error { return p.parse(raw, take) })
		})
		b.Run(name+" by go-mysql", func(b *testing.B) {
			p := newEventParser(flavorName(checkpoint.MySQL), tables, false)
			p.SetVerifyChecksum(true)
			read(b, rawEvent(b, rawFormat), events, func(raw []byte) error {
				_, err := p.Parse(raw)
				return err
			})
		})
	}
}

// TestForeignTransactionMakesNoGarbage: most of a log is of other tables.
func TestForeignTransactionMakesNoGarbage(t *testing.T) {
	p, a := newParser(flavorName(checkpoint.MySQL), shop(), false), newTestAssembler(t)
	take := func(ev *replication.BinlogEvent) error {
		_, err := a.add(ev)
		return err
	}
	pass := func(raw []byte) {
		if err := p.parse(raw, take); err != nil {
			t.Fatal(err)
		}
	}
	pass(rawEvent(t, rawFormat))
	events := transaction(t, "others")
	got := testing.AllocsPerRun(100, func() {
		for _, raw := range events {
			pass(raw)
		}
	})
	if got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func read(b *testing.B, format []byte, events [][]byte, parse func([]byte) error) {
	if err := parse(format); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range events {
			if err := parse(raw); err != nil {
				b.Fatal(err)
			}
		}
	}
}
