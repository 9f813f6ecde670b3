package binlog

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
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

// TestAllocations: what an event costs from the bytes of its transaction to where that is
// yielded: the text of its row, and parts of what is shared with others.
func TestAllocations(t *testing.T) {
	p, a := newParser(flavorName(checkpoint.MySQL), shop(), false), newTestAssembler(t)
	events, rows := transaction(t, "outbox"), 0
	s := (&Reader{}).newStream(checkpoint.Position{Flavor: checkpoint.MySQL}, func(tx *checkpoint.Transaction) error {
		rows += len(tx.Messages)
		return nil
	})
	s.srv = &Server{Flavor: checkpoint.MySQL}
	parts := &partition{stream: s}
	take := func(ev *replication.BinlogEvent) error {
		g, err := a.add(ev)
		if err != nil || g == nil {
			return err
		}
		return s.deliver(t.Context(), g, parts)
	}
	pass := func(raw []byte) {
		if err := p.parse(raw, take); err != nil {
			t.Fatal(err)
		}
	}
	pass(rawEvent(t, rawFormat))
	events[3] = framed(replication.WRITE_ROWS_EVENTv2, insertOf(replication.WRITE_ROWS_EVENTv2, plainRow(), 1, func(c madeUp) bool { return false }))
	events[2] = framed(replication.TABLE_MAP_EVENT, tableOf(plainRow()))
	allocs := testing.AllocsPerRun(1000, func() {
		for _, raw := range events {
			pass(raw)
		}
	})
	if rows != 1001 || allocs > 1.5 {
		t.Errorf("%v allocations for an event, %d rows", allocs, rows)
	}
}

// plainRow is the columns of the table that binjet creates, with what most rows have.
func plainRow() []madeUp {
	text := func(name string, collation uint64, value string) madeUp {
		return madeUp{name: name, kind: mysql.MYSQL_TYPE_VARCHAR, meta: []byte{255, 0}, collation: collation,
			value: func() []byte { return append([]byte{byte(len(value))}, value...) }}
	}
	blob := func(name, value string) madeUp {
		return madeUp{name: name, kind: mysql.MYSQL_TYPE_BLOB, meta: []byte{4}, collation: collationBinary,
			value: func() []byte { return append(binary.LittleEndian.AppendUint32(nil, uint32(len(value))), value...) }}
	}
	return []madeUp{text("id", 65, "0199f0c2-1111-7000-8000-000000000001"), text("topic", 65, "orders.created"), text("message_key", 46, "customer-4711"),
		blob("headers", `{"Content-Type":"application/json"}`), blob("payload", strings.Repeat("x", 256)),
		{name: "created_at", kind: mysql.MYSQL_TYPE_TIMESTAMP2, meta: []byte{6}, value: func() []byte { return []byte{0x69, 0x7d, 0xee, 0xc0, 1, 2, 3} }}}
}
