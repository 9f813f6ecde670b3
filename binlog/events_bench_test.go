package binlog

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"weak"

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

// streaming returns what takes the events of MySQL's log, as a stream does, and the
// transactions that it yields.
func streaming(t *testing.T, yield func(*checkpoint.Transaction)) (pass func(raw []byte)) {
	p, a := newParser(flavorName(checkpoint.MySQL), shop(), false), newTestAssembler(t)
	s := (&Reader{}).newStream(checkpoint.Position{Flavor: checkpoint.MySQL}, func(tx *checkpoint.Transaction) error {
		yield(tx)
		return nil
	})
	s.srv = &Server{Flavor: checkpoint.MySQL}
	parts, ctx := &partition{stream: s}, t.Context()
	take := func(ev *replication.BinlogEvent) error { return s.take(ctx, ev, a, parts) }
	pass = func(raw []byte) {
		if err := p.parse(raw, take); err != nil {
			t.Fatal(err)
		}
	}
	pass(rawEvent(t, rawFormat))
	return pass
}

// plainTransaction is the events of one that inserts a row with so large a payload.
func plainTransaction(t *testing.T, payload int) [][]byte {
	events, columns := transaction(t, "outbox"), plainRow(payload)
	events[2] = framed(replication.TABLE_MAP_EVENT, tableOf(columns))
	events[3] = framed(replication.WRITE_ROWS_EVENTv2, insertOf(replication.WRITE_ROWS_EVENTv2, columns, 1, func(madeUp) bool { return false }))
	return events
}

// TestAllocations: what an event costs from the bytes of its transaction to where that is
// yielded: the text of its row, and parts of what is shared with others.
func TestAllocations(t *testing.T) {
	rows := 0
	pass := streaming(t, func(tx *checkpoint.Transaction) { rows += len(tx.Messages) })
	events := plainTransaction(t, 256)
	const many = 100 // since the average is a whole number
	allocs := testing.AllocsPerRun(100, func() {
		for range many {
			for _, raw := range events {
				pass(raw)
			}
		}
	}) / many
	if rows != 101*many || allocs > 1.2 {
		t.Errorf("%v allocations for an event, %d rows", allocs, rows)
	}
}

// TestLetGo: of a large transaction nothing stays once it was yielded, whatever comes then.
func TestLetGo(t *testing.T) {
	var yielded weak.Pointer[byte]
	pass := streaming(t, func(tx *checkpoint.Transaction) { yielded = weak.Make(&tx.Messages[0].Payload[0]) })
	for _, payload := range []int{64 << 10, 900 << 10} {
		events := plainTransaction(t, payload)
		large := weak.Make(&events[3][0])
		for _, raw := range events {
			pass(raw)
		}
		clear(events)
		runtime.GC()
		if yielded.Value() != nil || large.Value() != nil {
			t.Errorf("%d bytes: the payload stays: %v; the event stays: %v", payload, yielded.Value() != nil, large.Value() != nil)
		}
	}
	runtime.KeepAlive(pass)
}

// plainRow is the columns of the table that binjet creates, with what most rows have.
func plainRow(payload int) []madeUp {
	text := func(name string, collation uint64, value string) madeUp {
		return madeUp{name: name, kind: mysql.MYSQL_TYPE_VARCHAR, meta: []byte{255, 0}, collation: collation,
			value: func() []byte { return append([]byte{byte(len(value))}, value...) }}
	}
	blob := func(name, value string) madeUp {
		return madeUp{name: name, kind: mysql.MYSQL_TYPE_BLOB, meta: []byte{4}, collation: collationBinary,
			value: func() []byte { return append(binary.LittleEndian.AppendUint32(nil, uint32(len(value))), value...) }}
	}
	return []madeUp{text("id", 65, "0199f0c2-1111-7000-8000-000000000001"), text("topic", 65, "orders.created"), text("message_key", 46, "customer-4711"),
		blob("headers", `{"Content-Type":"application/json"}`), blob("payload", strings.Repeat("x", payload)),
		{name: "created_at", kind: mysql.MYSQL_TYPE_TIMESTAMP2, meta: []byte{6}, value: func() []byte { return []byte{0x69, 0x7d, 0xee, 0xc0, 1, 2, 3} }}}
}
