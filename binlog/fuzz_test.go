package binlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// Bodies of TABLE_MAP and WRITE_ROWS events of an outbox with two rows, as MySQL 9.7.4
// and MariaDB 11.8.9 sent them, without header and checksum.
const (
	mysqlTableMap = "6a000000000001000473686f7000066f7574626f7800060f0f0ffcfc11094000ff00fc030404060c030541412e3f3f043002696405746f7069630b6d6573" +
		"736167655f6b65790768656164657273077061796c6f61640a637265617465645f61740801000c01fc"
	mysqlRows = "6a00000000001100020006ff000261310e6f72646572732e6372656174656401006b090000007b2261223a2262227d070000007061796c6f6164697deec001e2400c0261" +
		"320e6f72646572732e6372656174656400000000697deec0000000"
	mariaTableMap = "12000000000001000473686f7000066f7574626f7800060f0f0ffcfc11094000ff00fc030404060c030541412e3f3f043002696405746f7069630b6d6573" +
		"736167655f6b65790768656164657273077061796c6f61640a637265617465645f617408010060"
	mariaRows = "1200000000000100063fc00261310e6f72646572732e6372656174656401006b090000007b2261223a2262227d070000007061796c6f6164697deec001e240cc0261320e" +
		"6f72646572732e6372656174656400000000697deec0000000"
)

// framed is an event of that body.
func framed(kind replication.EventType, body []byte) []byte {
	raw := make([]byte, replication.EventHeaderSize, replication.EventHeaderSize+len(body)+replication.BinlogChecksumLength)
	raw[4] = byte(kind)
	binary.LittleEndian.PutUint32(raw[5:], 1)
	raw = append(append(raw, body...), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(raw[9:], uint32(len(raw)))
	return sealed(raw)
}

// FuzzRows: whatever stands in a table map and in its rows, with a checksum that is
// right, is read, or halts by name; it never panics, and no message goes out of it that
// could not be published. What is read without go-mysql is what go-mysql reads.
func FuzzRows(f *testing.F) {
	for _, seed := range []struct {
		maria     bool
		kind      replication.EventType
		tableMap  string
		rows, end string
	}{
		{false, replication.WRITE_ROWS_EVENTv2, mysqlTableMap, mysqlRows, "0600000000000000"},
		{true, replication.WRITE_ROWS_EVENTv1, mariaTableMap, mariaRows, "0500000000000000"},
		{false, replication.UPDATE_ROWS_EVENTv2, mysqlTableMap, mysqlRows, ""},
		{false, replication.DELETE_ROWS_EVENTv2, mysqlTableMap, mysqlRows, ""},
	} {
		f.Add(seed.maria, byte(seed.kind), unhex(f, seed.tableMap), unhex(f, seed.rows), unhex(f, seed.end))
	}
	for _, lists := range [][]byte{mysqlLists, lyingList(replication.TABLE_MAP_OPT_META_ENUM_STR_VALUE), lyingList(replication.TABLE_MAP_OPT_META_SET_STR_VALUE)} {
		f.Add(false, byte(replication.WRITE_ROWS_EVENTv2), append(unhex(f, mysqlTableMap), lists...), unhex(f, mysqlRows), []byte{})
	}
	f.Fuzz(func(t *testing.T, maria bool, kind byte, tableMap, rows, end []byte) {
		flavor, format := checkpoint.MySQL, rawFormat
		if maria {
			flavor, format = checkpoint.MariaDB, rawMariaFormat
		}
		a := newTestAssembler(t)
		p := newParser(flavorName(flavor), a.tables, false)
		defer p.close()
		events := [][]byte{rawEvent(t, format)}
		if !maria {
			events = append(events, rawEvent(t, rawGTID))
		}
		events = append(events, framed(replication.TABLE_MAP_EVENT, tableMap), framed(replication.EventType(kind), rows), framed(replication.XID_EVENT, end))
		for _, raw := range append(events, events[1:]...) { // the table map is known then
			err := p.parse(raw, func(ev *replication.BinlogEvent) error {
				if e, ok := ev.Event.(*images); ok {
					asGoMySQL(t, a.decode.layoutOf(e.table), *e)
				}
				g, err := a.add(ev)
				if g != nil {
					publishable(t, g)
				}
				return err
			})
			if err != nil {
				var h *checkpoint.HaltError
				if errors.As(err, &h) && h.Hint == "" {
					t.Fatalf("a halt without a next step: %v", err)
				}
				return
			}
		}
	})
}

// asGoMySQL: the rows that are read without go-mysql, if any, are those that it reads.
func asGoMySQL(t *testing.T, l *layout, e images) {
	t.Helper()
	if l.cells == nil || slices.Contains(e.table.ColumnType, mysql.MYSQL_TYPE_JSON) { // of which go-mysql says what is wrong
		return
	}
	var list []binjet.Message
	for len(e.rest) > 0 {
		m, ok := l.next(&e, time.Time{})
		if !ok {
			return
		}
		list = append(list, m)
	}
	all, err := e.decoded()
	if err != nil || len(all.Rows) != len(list) {
		t.Fatalf("%d rows, for go-mysql %v, %v", len(list), all, err)
	}
	for i, image := range all.Rows {
		if m, fault := l.message(image, all.SkippedColumns[i], time.Time{}); fault != nil || messageText(m) != messageText(list[i]) {
			t.Fatalf("row %d: %s\nfor go-mysql %s, %v", i, messageText(list[i]), messageText(m), fault)
		}
	}
}

// publishable: what is not marked as invalid can be.
func publishable(t *testing.T, g *group) {
	t.Helper()
	bad := map[int]bool{}
	for _, i := range g.invalid {
		bad[i.index] = true
	}
	for i := range g.messages {
		if m := &g.messages[i]; !bad[i] && (m.ID == "" || m.Topic == "") {
			t.Fatalf("message %d has ID %q and topic %q", i, m.ID, m.Topic)
		}
	}
}

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
