package binlog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// madeUp is a column of a table that a test makes up.
type madeUp struct {
	name      string
	kind      byte
	meta      []byte
	collation uint64 // 0: it has none
	value     func() []byte
}

// tableOf is the body of a TABLE_MAP of shop.outbox, with names and collations.
func tableOf(columns []madeUp) []byte {
	b := []byte{7, 0, 0, 0, 0, 0, 1, 0}
	b = append(b, "\x04shop\x00\x06outbox\x00"...)
	var types, meta, names, collations []byte
	for _, c := range columns {
		types, meta = append(types, c.kind), append(meta, c.meta...)
		names = append(append(names, byte(len(c.name))), c.name...)
		if c.collation > 0 {
			collations = mysqlInteger(collations, c.collation)
		}
	}
	b = append(append(b, byte(len(types))), types...)
	b = append(append(b, byte(len(meta))), meta...)
	b = append(b, make([]byte, (len(columns)+7)/8)...)
	b = append(mysqlInteger(append(b, byte(replication.TABLE_MAP_OPT_META_COLUMN_NAME)), uint64(len(names))), names...)
	return append(mysqlInteger(append(b, byte(replication.TABLE_MAP_OPT_META_COLUMN_CHARSET)), uint64(len(collations))), collations...)
}

func mysqlInteger(b []byte, n uint64) []byte { return append(b, mysql.PutLengthEncodedInt(n)...) }

// insertOf is the body of a WRITE_ROWS of them, with NULLs by the dice.
func insertOf(kind replication.EventType, columns []madeUp, rows int, isNull func(madeUp) bool) []byte {
	b := []byte{7, 0, 0, 0, 0, 0, byte(replication.RowsEventStmtEndFlag), 0}
	if kind == replication.WRITE_ROWS_EVENTv2 {
		b = append(b, 5, 0, 'a', 'b', 'c')
	}
	b = append(b, byte(len(columns)))
	for range (len(columns) + 7) / 8 {
		b = append(b, 0xff)
	}
	for range rows {
		nulls, values := make([]byte, (len(columns)+7)/8), []byte(nil)
		for i, c := range columns {
			if isNull(c) {
				nulls[i/8] |= 1 << (i % 8)
			} else {
				values = append(values, c.value()...)
			}
		}
		b = append(append(b, nulls...), values...)
	}
	return b
}

// invented makes up a table: the columns that binjet maps, and others between them.
func invented(dice *rand.Rand) (columns []madeUp) {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(dice.Uint32())
		}
		return b
	}
	fixed := func(kind byte, meta []byte, n int) madeUp {
		return madeUp{kind: kind, meta: meta, value: func() []byte { return random(n) }}
	}
	sized := func(kind byte, meta []byte, lengthBytes int, collation uint64, value func() string) madeUp {
		return madeUp{kind: kind, meta: meta, collation: collation, value: func() []byte {
			text := value()
			length := make([]byte, 8)
			binary.LittleEndian.PutUint64(length, uint64(len(text)))
			return append(length[:lengthBytes:lengthBytes], text...)
		}}
	}
	word := func() string { return strings.Repeat("w", 1+dice.IntN(20)) }
	text := func(collation uint64, value func() string) madeUp {
		switch dice.IntN(4) {
		case 0:
			return sized(mysql.MYSQL_TYPE_VARCHAR, []byte{0xfc, 3}, 2, collation, value)
		case 1:
			return sized(mysql.MYSQL_TYPE_STRING, []byte{mysql.MYSQL_TYPE_STRING, 64}, 1, collation, value)
		case 2:
			return sized(mysql.MYSQL_TYPE_STRING, []byte{mysql.MYSQL_TYPE_STRING ^ 0x20, 64}, 2, collation, value)
		}
		return sized(mysql.MYSQL_TYPE_VARCHAR, []byte{255, 0}, 1, collation, value)
	}
	blob := func(value func() string) madeUp {
		n := 2 + dice.IntN(3)
		return sized(mysql.MYSQL_TYPE_BLOB, []byte{byte(n)}, n, []uint64{collationBinary, 46}[dice.IntN(2)], value)
	}
	fraction := byte(dice.IntN(7))
	mapped := map[string]madeUp{
		"id":          text(65, word),
		"topic":       text(65, func() string { return "orders." + word() }),
		"message_key": text(46, func() string { return []string{"", "käse", word(), "\xff"}[dice.IntN(100)%21%4] }),
		"headers": blob(func() string {
			return []string{`{"Content-Type":"a/b"}`, `{"Content-Type":"a/b","x":["1","2"]}`, `{}`, "", "no JSON"}[dice.IntN(100)%26%5]
		}),
		"payload": blob(func() string {
			return strings.Repeat(string(rune(' '+dice.IntN(90))), []int{0, 1, 300, 2100, 9000}[dice.IntN(5)])
		}),
		"created_at": fixed(mysql.MYSQL_TYPE_TIMESTAMP2, []byte{fraction}, 4+int(fraction+1)/2),
	}
	others := []madeUp{fixed(mysql.MYSQL_TYPE_TINY, nil, 1), fixed(mysql.MYSQL_TYPE_YEAR, nil, 1), fixed(mysql.MYSQL_TYPE_SHORT, nil, 2),
		fixed(mysql.MYSQL_TYPE_INT24, nil, 3), fixed(mysql.MYSQL_TYPE_DATE, nil, 3), fixed(mysql.MYSQL_TYPE_LONG, nil, 4), fixed(mysql.MYSQL_TYPE_FLOAT, []byte{4}, 4),
		fixed(mysql.MYSQL_TYPE_LONGLONG, nil, 8), fixed(mysql.MYSQL_TYPE_DOUBLE, []byte{8}, 8), fixed(mysql.MYSQL_TYPE_DATETIME2, []byte{fraction}, 5+int(fraction+1)/2),
		fixed(mysql.MYSQL_TYPE_TIME2, []byte{fraction}, 3+int(fraction+1)/2), fixed(mysql.MYSQL_TYPE_STRING, []byte{mysql.MYSQL_TYPE_ENUM, 1}, 1),
		fixed(mysql.MYSQL_TYPE_STRING, []byte{mysql.MYSQL_TYPE_ENUM, 2}, 2), fixed(mysql.MYSQL_TYPE_STRING, []byte{mysql.MYSQL_TYPE_SET, 3}, 3),
		fixed(mysql.MYSQL_TYPE_STRING, []byte{mysql.MYSQL_TYPE_SET, 8}, 8), text(46, word), blob(word),
		sized(mysql.MYSQL_TYPE_JSON, []byte{4}, 4, 0, func() string { return "\x04\x01" }),
		fixed(mysql.MYSQL_TYPE_NEWDECIMAL, []byte{10, 2}, 5), fixed(mysql.MYSQL_TYPE_BIT, []byte{1, 1}, 2)} // which go-mysql has to decode
	for _, name := range []string{"id", "topic", "message_key", "headers", "payload", "created_at"} { // the dice alone decides
		c := mapped[name]
		c.name = name
		columns = append(columns, c)
	}
	for i := range dice.IntN(8) {
		c := others[dice.IntN(len(others)-2*min(1, dice.IntN(8)))]
		c.name = fmt.Sprint("other", i)
		columns = append(columns, c)
	}
	dice.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
	return columns
}

// TestImagesAsGoMySQL: of rows of made-up tables, the messages are those that are made of
// what go-mysql decodes, and what is wrong with them too.
func TestImagesAsGoMySQL(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	read, declined := 0, 0
	for range 3000 {
		columns, rows := invented(dice), dice.IntN(5)
		kind := []replication.EventType{replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2}[dice.IntN(2)]
		body := insertOf(kind, columns, rows, func(c madeUp) bool {
			likely := 100
			if c.name == "message_key" || c.name == "headers" || strings.HasPrefix(c.name, "other") {
				likely = 3
			}
			return dice.IntN(likely) == 0
		})
		if dice.IntN(10) == 0 {
			body = body[:max(8, len(body)-1-dice.IntN(40))]
		}
		got, want := inserts(t, tableOf(columns), kind, body, false), inserts(t, tableOf(columns), kind, body, true)
		if got.text != want.text {
			t.Fatalf("%x of %x:\ngot  %s\nwant %s", body, tableOf(columns), got.text, want.text)
		}
		read, declined = read+got.read, declined+got.declined
	}
	if read < 1000 || declined < 1000 {
		t.Errorf("%d rows were read by themselves, %d events by go-mysql", read, declined)
	}
}

type inserted struct {
	text           string
	read, declined int
}

// inserts is what an assembler makes of an event that inserts rows, which go-mysql decodes
// if it is told so.
func inserts(t *testing.T, tables []byte, kind replication.EventType, body []byte, all bool) (out inserted) {
	t.Helper()
	p, a := newParser(flavorName(checkpoint.MySQL), shop(), false), newTestAssembler(t)
	take := func(ev *replication.BinlogEvent) error {
		e, ok := ev.Event.(*images)
		if !ok {
			_, err := a.add(ev)
			a.state, a.opened = begun, time.Unix(7, 0).UTC()
			return err
		}
		l := a.decode.layoutOf(e.table)
		if all {
			l.cells = nil
		}
		err := a.inserted(e)
		if len(e.rest) == 0 {
			out.read += a.next
		} else {
			out.declined++
		}
		return err
	}
	var err error
	for _, raw := range [][]byte{rawEvent(t, rawFormat), framed(replication.TABLE_MAP_EVENT, tables), framed(kind, body)} {
		if err == nil {
			err = p.parse(raw, take)
		}
		for i := range raw { // nothing small may be left in it
			if len(raw) < largeRows {
				raw[i] = 0xa5
			}
		}
	}
	out.text = fmt.Sprint(a.fault, err)
	for _, r := range a.rows {
		if err == nil {
			out.text += fmt.Sprintf("\n%d %q %v %v", r.ordinal, messageText(r.msg), r.invalid, r.bytes)
		}
	}
	return out
}

func messageText(m binjet.Message) string {
	return fmt.Sprintf("%s|%s|%s|%s|%v|%x|%v|%v", m.ID, m.Topic, m.Key, m.ContentType, m.Headers, m.Payload, m.Payload == nil, m.CreatedAt)
}

// TestImagesOfOutbox: the rows of the table that binjet creates need no go-mysql.
func TestImagesOfOutbox(t *testing.T) {
	p, a := newParser(flavorName(checkpoint.MySQL), shop(), false), newTestAssembler(t)
	for _, raw := range [][]byte{rawEvent(t, rawFormat), rawEvent(t, rawGTID), framed(replication.TABLE_MAP_EVENT, unhex(t, mysqlTableMap)), framed(replication.WRITE_ROWS_EVENTv2, unhex(t, mysqlRows))} {
		err := p.parse(raw, func(ev *replication.BinlogEvent) error {
			_, err := a.add(ev)
			if e, ok := ev.Event.(*images); ok && len(e.rest) > 0 {
				t.Errorf("%d bytes are left for go-mysql", len(e.rest))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	if len(a.rows) != 2 || a.rows[0].msg.ID != "a1" || a.rows[1].msg.CreatedAt.Before(at.AddDate(-1, 0, 0)) {
		t.Errorf("%+v", a.rows)
	}
}

// TestImagesOfLargeTransaction: rows that are read the second time, of which a savepoint
// dropped some, are handed out as they are the first time.
func TestImagesOfLargeTransaction(t *testing.T) {
	read := func(a *assembler) *group {
		t.Helper()
		var last *group
		p := newParser(flavorName(checkpoint.MySQL), shop(), false)
		for i, raw := range append([][]byte{rawEvent(t, rawFormat)}, transaction(t, "outbox")...) {
			err := p.parse(raw, func(ev *replication.BinlogEvent) error {
				g, err := a.add(ev)
				if g != nil {
					last = g
				}
				return err
			})
			if err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
		}
		return last
	}
	whole, small := newTestAssembler(t), newTestAssembler(t)
	want := read(whole).messages
	small.limit = 100
	g := read(small)
	if g.plan == nil || g.messages != nil || g.rows != 2 {
		t.Fatalf("%+v", g)
	}
	for _, dropped := range [][]span{nil, {{0, 1}}, {{1, 2}}} {
		again, got := newTestAssembler(t), []binjet.Message(nil)
		again.second = &plan{gtid: g.gtid, dropped: dropped, rows: 2 - len(dropped)}
		again.part = func(m binjet.Message, fault *RowError, _ time.Time) error {
			got = append(got, m)
			if fault != nil {
				t.Error(fault)
			}
			return nil
		}
		if g := read(again); !g.planned || len(got) != g.rows {
			t.Errorf("%v: %+v, %d rows", dropped, g, len(got))
		}
		var left []string
		for i, m := range want {
			if !isDropped(dropped, i) {
				left = append(left, messageText(m))
			}
		}
		for i, m := range got {
			if messageText(m) != left[i] {
				t.Errorf("%v: row %d is %s, want %s", dropped, i, messageText(m), left[i])
			}
		}
	}
}
