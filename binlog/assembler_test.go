package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

const sid = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
const sidText = "01020304-0506-0708-090a-0b0c0d0e0f10"

func event(t replication.EventType, e replication.Event) *replication.BinlogEvent {
	return &replication.BinlogEvent{Header: &replication.EventHeader{EventType: t, Timestamp: 1000}, Event: e}
}

func gtid(n int64) *replication.BinlogEvent {
	return event(replication.GTID_EVENT, &replication.GTIDEvent{SID: []byte(sid), GNO: n, OriginalCommitTimestamp: 1_000_000})
}

func tagged(n int64, tag string) *replication.BinlogEvent {
	e := &replication.GtidTaggedLogEvent{GTIDEvent: replication.GTIDEvent{SID: []byte(sid), GNO: n, Tag: mysql.NewTag(tag)}}
	return event(replication.GTID_TAGGED_LOG_EVENT, e)
}

func mariaGTID(n uint64, flags byte) *replication.BinlogEvent {
	e := &replication.MariadbGTIDEvent{GTID: mysql.MariadbGTID{DomainID: 3, ServerID: 4, SequenceNumber: n}, Flags: flags}
	return event(replication.MARIADB_GTID_EVENT, e)
}

func query(text string) *replication.BinlogEvent {
	return event(replication.QUERY_EVENT, &replication.QueryEvent{Schema: []byte("shop"), Query: []byte(text)})
}

func xid() *replication.BinlogEvent { return event(replication.XID_EVENT, &replication.XIDEvent{}) }

func generic(t replication.EventType, data ...byte) *replication.BinlogEvent {
	return event(t, &replication.GenericEvent{Data: data})
}

func outboxMap(columns ...string) *replication.TableMapEvent {
	e := &replication.TableMapEvent{TableID: 7, Schema: []byte("shop"), Table: []byte("outbox")}
	if columns == nil {
		columns = []string{"id", "topic", "message_key", "headers", "payload", "created_at"}
	}
	for _, c := range columns {
		e.ColumnName = append(e.ColumnName, []byte(c))
		e.ColumnType = append(e.ColumnType, mysql.MYSQL_TYPE_VARCHAR)
		e.ColumnMeta = append(e.ColumnMeta, 255)
		e.ColumnCount++
	}
	return e
}

func rowsOf(t replication.EventType, table *replication.TableMapEvent, rows ...[]any) *replication.BinlogEvent {
	e := &replication.RowsEvent{Table: table, TableID: table.TableID, Rows: rows, SkippedColumns: make([][]int, len(rows))}
	return event(t, e)
}

func outboxRow(id string) []any {
	return []any{id, "orders.created", nil, nil, []byte("payload of " + id), time.Unix(5, 0)}
}

func insert(ids ...string) *replication.BinlogEvent {
	var rows [][]any
	for _, id := range ids {
		rows = append(rows, outboxRow(id))
	}
	return rowsOf(replication.WRITE_ROWS_EVENTv2, outboxMap(), rows...)
}

func insertElsewhere() *replication.BinlogEvent {
	table := &replication.TableMapEvent{TableID: 8, Schema: []byte("shop"), Table: []byte("orders")}
	return rowsOf(replication.WRITE_ROWS_EVENTv2, table)
}

func update() *replication.BinlogEvent {
	return rowsOf(replication.UPDATE_ROWS_EVENTv2, outboxMap(), outboxRow("u"), outboxRow("u"))
}

func newTestAssembler(t *testing.T) *assembler {
	t.Helper()
	tables, err := parseTables("shop", []string{"outbox"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{}.withDefaults()
	return &assembler{tables: &tables, decode: newDecoder(newMapping(cfg)), limit: 1 << 20}
}

// summary is what a group is in the tables below: its GTID without the server,
// and the IDs of its messages.
func summary(g *group) string {
	s := strings.TrimPrefix(strings.TrimPrefix(g.gtid.String(), sidText+":"), "3-4-")
	for _, m := range g.messages {
		s += " " + m.ID
	}
	return s
}

func TestAssemblerShapes(t *testing.T) {
	type events []*replication.BinlogEvent
	begin, commit := query("BEGIN"), query("COMMIT")
	tests := map[string]struct {
		in   events
		want []string
	}{
		"two statements": {events{gtid(1), begin, insert("a", "b"), insertElsewhere(), insert("c"), xid()}, []string{"1 a b c"}},
		"with the statement in a comment": {events{gtid(1), begin, event(replication.ROWS_QUERY_EVENT, &replication.RowsQueryEvent{Query: []byte("INSERT INTO outbox")}),
			insert("a"), xid()}, []string{"1 a"}},
		"only BLACKHOLE wrote": {events{gtid(1), begin, insert("a"), commit}, []string{"1 a"}},
		"tagged":               {events{tagged(1, "app"), begin, insert("a"), xid(), gtid(1), begin, insert("b"), xid()}, []string{"app:1 a", "1 b"}},
		"elsewhere only":       {events{gtid(1), begin, insertElsewhere(), xid()}, []string{"1"}},
		"empty":                {events{gtid(1), begin, commit}, []string{"1"}},
		"DDL":                  {events{gtid(1), query("ALTER TABLE outbox ADD x INT"), gtid(2), query("TRUNCATE TABLE outbox")}, []string{"1", "2"}},
		"atomic CREATE SELECT": {events{gtid(1), query("CREATE TABLE `t` (a INT) START TRANSACTION"), insertElsewhere(), xid()}, []string{"1"}},
		"BEGIN and CREATE SELECT": {events{gtid(1), begin, query("CREATE TABLE `outbox` (id INT) START TRANSACTION"), insert("a"), xid()},
			[]string{"1 a"}},
		"rolled back":                   {events{gtid(1), begin, insert("a"), query("ROLLBACK"), gtid(2), begin, insert("b"), xid()}, []string{"1", "2 b"}},
		"rolled back with a comment":    {events{gtid(1), begin, insert("a"), query("/* x */ rollback work")}, []string{"1"}},
		"savepoint":                     {events{gtid(1), begin, insert("a"), query("SAVEPOINT `s`"), insert("b"), query("ROLLBACK TO `s`"), insert("c"), xid()}, []string{"1 a c"}},
		"savepoint in any case":         {events{gtid(1), begin, query("savepoint S"), insert("b"), query("Rollback Work To Savepoint `s`"), xid()}, []string{"1"}},
		"savepoint called savepoint":    {events{gtid(1), begin, query("SAVEPOINT savepoint"), insert("b"), query("ROLLBACK TO savepoint"), xid()}, []string{"1"}},
		"savepoint with odd name":       {events{gtid(1), begin, query("SAVEPOINT `a ``b`"), insert("b"), query("ROLLBACK TO `a ``b`"), xid()}, []string{"1"}},
		"nested":                        {events{gtid(1), begin, query("SAVEPOINT a"), insert("1"), query("SAVEPOINT b"), insert("2"), query("ROLLBACK TO a"), insert("3"), xid()}, []string{"1 3"}},
		"twice back to the same":        {events{gtid(1), begin, query("SAVEPOINT a"), insert("1"), query("ROLLBACK TO a"), insert("2"), query("ROLLBACK TO a"), insert("3"), xid()}, []string{"1 3"}},
		"same name moves":               {events{gtid(1), begin, query("SAVEPOINT a"), insert("1"), query("SAVEPOINT a"), insert("2"), query("ROLLBACK TO a"), xid()}, []string{"1 1"}},
		"released":                      {events{gtid(1), begin, query("SAVEPOINT a"), query("SAVEPOINT b"), insert("1"), query("RELEASE SAVEPOINT b"), query("ROLLBACK TO a"), xid()}, []string{"1"}},
		"update is rolled back":         {events{gtid(1), begin, insert("a"), query("SAVEPOINT s"), update(), query("ROLLBACK TO s"), insert("b"), xid()}, []string{"1 a b"}},
		"update in a rolled back group": {events{gtid(1), begin, update(), query("ROLLBACK")}, []string{"1"}},
		"statement is rolled back":      {events{gtid(1), begin, query("SAVEPOINT s"), query("INSERT INTO outbox VALUES (1)"), query("ROLLBACK TO s"), xid()}, []string{"1"}},
		"delete": {events{gtid(1), begin, insert("a"), rowsOf(replication.DELETE_ROWS_EVENTv2, outboxMap(), outboxRow("a")), xid()},
			[]string{"1 a"}},
		"statement-format delete": {events{gtid(1), begin, query("DELETE FROM outbox"), xid()}, []string{"1"}},
		"other schema":            {events{gtid(1), begin, query("INSERT INTO archive.outbox VALUES (1)"), xid()}, []string{"1"}},
		"MariaDB":                 {events{mariaGTID(1, 0), insert("a"), xid(), mariaGTID(2, 0), insert("b"), commit}, []string{"1 a", "2 b"}},
		"MariaDB compressed": {events{mariaGTID(1, 0), rowsOf(replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, outboxMap(), outboxRow("a")), xid()},
			[]string{"1 a"}},
		"MariaDB DDL":            {events{mariaGTID(1, replication.BINLOG_MARIADB_FL_STANDALONE), query("CREATE TABLE t (a INT)")}, []string{"1"}},
		"MariaDB dummy":          {events{mariaGTID(1, replication.BINLOG_MARIADB_FL_STANDALONE), query("# Dummy event"), query("CREATE TABLE t (a INT)")}, []string{"1"}},
		"MariaDB rolled back":    {events{mariaGTID(1, 0), insert("a"), query("ROLLBACK")}, []string{"1"}},
		"MariaDB CREATE SELECT":  {events{mariaGTID(1, 0), query("CREATE TABLE t (a INT)"), insertElsewhere(), xid()}, []string{"1"}},
		"server died in a group": {events{gtid(1), begin, insert("a"), event(replication.FORMAT_DESCRIPTION_EVENT, &replication.FormatDescriptionEvent{}), gtid(2), begin, insert("b"), xid()}, []string{"2 b"}},
		"XA elsewhere": {events{gtid(1), query("XA START X'61',X'',1"), insertElsewhere(), query("XA END X'61',X'',1"),
			generic(replication.XA_PREPARE_LOG_EVENT, 0), gtid(2), query("XA COMMIT X'61',X'',1")}, []string{"1", "2"}},
		"XA rolled back": {events{gtid(1), query("XA ROLLBACK X'61',X'',1")}, []string{"1"}},
		"XA in one phase": {events{gtid(1), query("XA START X'61',X'',1"), insert("a"), query("XA END X'61',X'',1"),
			generic(replication.XA_PREPARE_LOG_EVENT, 1)}, []string{"1 a"}},
		"MariaDB XA elsewhere": {events{mariaGTID(1, 64), insertElsewhere(), query("XA END X'61',X'',1"), generic(replication.XA_PREPARE_LOG_EVENT, 0),
			mariaGTID(2, 128|1), query("XA COMMIT X'61',X'',1")}, []string{"1", "2"}},
		"context": {events{generic(replication.ROTATE_EVENT), generic(replication.HEARTBEAT_EVENT), gtid(1), begin, generic(replication.INTVAR_EVENT),
			generic(replication.RAND_EVENT), generic(replication.USER_VAR_EVENT), insert("a"), xid(), generic(replication.STOP_EVENT)}, []string{"1 a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newTestAssembler(t)
			var got []string
			for i, ev := range tt.in {
				g, err := a.add(ev)
				if err != nil {
					t.Fatalf("event %d: %v", i, err)
				}
				if g != nil {
					got = append(got, summary(g))
					if g.rows != len(g.messages) {
						t.Errorf("rows %d, messages %d", g.rows, len(g.messages))
					}
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAssemblerHalts(t *testing.T) {
	type events []*replication.BinlogEvent
	begin := query("BEGIN")
	with := func(i int, v any) []any { r := outboxRow("n"); r[i] = v; return r }
	one := func(r []any) events {
		return events{gtid(1), begin, rowsOf(replication.WRITE_ROWS_EVENTv2, outboxMap(), r), xid()}
	}
	skipped := rowsOf(replication.WRITE_ROWS_EVENTv2, outboxMap(), outboxRow("a"))
	skipped.Event.(*replication.RowsEvent).SkippedColumns[0] = []int{4}
	nameless := outboxMap()
	nameless.ColumnName = nil
	tests := map[string]struct {
		in   events
		want string
		is   error
	}{
		"anonymous":             {events{event(replication.ANONYMOUS_GTID_EVENT, &replication.GTIDEvent{SID: []byte(sid)})}, "gtid_mode", nil},
		"group in a group":      {events{gtid(1), begin, gtid(2)}, "before", nil},
		"begins twice":          {events{gtid(1), begin, begin}, "begins twice", nil},
		"commit outside":        {events{xid()}, "outside", nil},
		"rows outside":          {events{insert("a")}, "outside", nil},
		"statement outside":     {events{query("INSERT INTO t VALUES (1)")}, "outside", nil},
		"incident":              {events{generic(replication.INCIDENT_EVENT)}, "gap", nil},
		"unknown event":         {events{gtid(1), generic(200)}, "event type 200", nil},
		"unknown savepoint":     {events{gtid(1), begin, query("ROLLBACK TO x")}, `"x"`, nil},
		"released savepoint":    {events{gtid(1), begin, query("SAVEPOINT x"), query("RELEASE SAVEPOINT x"), query("ROLLBACK TO x")}, `"x"`, nil},
		"update":                {events{gtid(1), begin, insert("a"), update(), xid()}, `ID "u"`, ErrUpdate},
		"partial update":        {events{gtid(1), begin, rowsOf(replication.PARTIAL_UPDATE_ROWS_EVENT, outboxMap(), outboxRow("u")), xid()}, "inserted once", ErrUpdate},
		"statement":             {events{gtid(1), begin, query("INSERT INTO `outbox` VALUES (1)"), xid()}, "binlog_format=ROW", ErrStatementFormat},
		"qualified statement":   {events{gtid(1), begin, query("replace shop . OUTBOX select 1"), query("COMMIT")}, "shop.outbox", ErrStatementFormat},
		"statement without end": {events{mariaGTID(1, 1), query("INSERT INTO outbox VALUES (1)")}, "3-4-1", ErrStatementFormat},
		"create select":         {events{mariaGTID(1, 1), query("CREATE TABLE outbox SELECT * FROM t")}, "3-4-1", ErrStatementFormat},
		"no names":              {events{gtid(1), begin, rowsOf(replication.WRITE_ROWS_EVENTv2, nameless, outboxRow("a")), xid()}, "binlog_row_metadata=FULL", nil},
		"no such column":        {events{gtid(1), begin, rowsOf(replication.WRITE_ROWS_EVENTv2, outboxMap("id", "topic", "payload"), []any{"a", "b", "c"}), xid()}, "message_key, headers, created_at", nil},
		"skipped column":        {events{gtid(1), begin, skipped, xid()}, "payload is not in the binlog", nil},
		"number for ID":         {one(with(0, int64(5))), "int64", nil},
		"number as time":        {one(with(5, int64(5))), "created_at", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newTestAssembler(t)
			var err error
			for _, ev := range tt.in {
				var g *group
				if g, err = a.add(ev); err != nil {
					break
				}
				if g != nil {
					t.Fatalf("got group %s", summary(g))
				}
			}
			var h *checkpoint.HaltError
			if !errors.As(err, &h) {
				t.Fatalf("got %v, want a HaltError", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q does not hold %q", err, tt.want)
			}
			if h.Hint == "" {
				t.Error("no hint")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

// A group that is too large is read twice: the second time its rows come by the
// plan of the first, with the dropped ones left out.
func TestAssemblerPlan(t *testing.T) {
	in := []*replication.BinlogEvent{
		gtid(1), query("BEGIN"), insert("a", "b"), query("SAVEPOINT s"), insert("c"), query("SAVEPOINT r"), insert("d"),
		query("ROLLBACK TO r"), insert("e"), query("ROLLBACK TO s"), insert("f"), query("SAVEPOINT t"), insert("g", "h"),
		query("ROLLBACK TO t"), insert("i"), xid(),
	}
	var plan *plan
	for _, limit := range []int{0, 400, 700, 1000} {
		a := newTestAssembler(t)
		a.limit = limit
		g := last(t, a, in)
		if g.messages != nil || g.plan == nil || g.rows != 4 || g.plan.rows != 4 {
			t.Fatalf("limit %d: %+v", limit, g)
		}
		plan = g.plan
	}
	if want := []span{{2, 5}, {6, 8}}; !slices.Equal(plan.dropped, want) {
		t.Errorf("dropped %v, want %v", plan.dropped, want)
	}
	a := newTestAssembler(t)
	a.limit, a.second = 0, plan
	var got []string
	a.part = func(m binjet.Message, _ *RowError, _ time.Time) error { got = append(got, m.ID); return nil }
	if g := last(t, a, in); !g.planned || g.rows != 4 {
		t.Errorf("second reading: %+v", g)
	}
	if want := []string{"a", "b", "f", "i"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func last(t *testing.T, a *assembler, in []*replication.BinlogEvent) (g *group) {
	t.Helper()
	for _, ev := range in {
		got, err := a.add(ev)
		if err != nil {
			t.Fatal(err)
		}
		if got != nil {
			g = got
		}
	}
	if g == nil {
		t.Fatal("no group")
	}
	return g
}

func TestAssemblerWarnsOfForeignStatements(t *testing.T) {
	a := newTestAssembler(t)
	var got []string
	a.foreign = func(q string) { got = append(got, q) }
	in := []*replication.BinlogEvent{gtid(1), query("BEGIN"), query("UPDATE orders SET a=1"), query("SELECT f()"), query("DELETE FROM orders"), xid()}
	last(t, a, in)
	if len(got) != 3 {
		t.Errorf("warned of %q", got)
	}
}

func TestMessageOfRow(t *testing.T) {
	d := newDecoder(newMapping(Config{}.withDefaults()))
	l := d.layoutOf(outboxMap())
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.FixedZone("", 3600))
	row := []any{"id-1", []byte("a.b"), "kéy", []byte(`{"Content-Type":"text/plain","Nats-TTL":"60s","x":["1","2"]}`), "body", at}
	m, fault := l.message(row, nil, time.Time{})
	if fault != nil {
		t.Fatal(fault)
	}
	want := fmt.Sprintf("id-1 a.b kéy text/plain map[Nats-TTL:[60s] x:[1 2]] body %s", at.UTC())
	if got := fmt.Sprintf("%s %s %s %s %v %s %s", m.ID, m.Topic, m.Key, m.ContentType, m.Headers, m.Payload, m.CreatedAt); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, v := range []any{nil, "0000-00-00 00:00:00"} {
		row[5] = v
		if m, fault = l.message(row, nil, at); fault != nil || !m.CreatedAt.Equal(at) {
			t.Errorf("created_at %v: %v %v", v, m.CreatedAt, fault)
		}
	}
	if d.layoutOf(outboxMap()) != l {
		t.Error("the same table is laid out anew")
	}
	moved := outboxMap("topic", "id", "message_key", "headers", "payload", "created_at")
	if got := d.layoutOf(moved); got == l || got.id != 1 {
		t.Error("a changed table keeps its old layout")
	}
}

// TestWhatAMessageKeeps: the event, where its payload is nearly all of it; never the rows
// of a SELECT, whose memory is used again.
func TestWhatAMessageKeeps(t *testing.T) {
	d := newDecoder(newMapping(Config{}.withDefaults()))
	l := d.layoutOf(outboxMap())
	ofSelect := newLayout(&d.mapping, l.table, l.names, l.types)
	for _, c := range []struct {
		what  string
		l     *layout
		key   any
		bytes int
		kept  bool
	}{
		{"a payload that is nearly all", l, nil, 4096, true},
		{"a payload with much beside it", l, strings.Repeat("k", 200), 600, false},
		{"a small one", l, nil, 3, false},
		{"a huge one", l, nil, maxKept + 1, false},
		{"a row of a SELECT", ofSelect, nil, 4096, false},
	} {
		payload, id := bytes.Repeat([]byte("a"), c.bytes), []byte("id")
		m, fault := c.l.message([]any{id, "topic", c.key, nil, payload, nil}, nil, time.Time{})
		if fault != nil {
			t.Fatal(fault)
		}
		payload[0], id[0] = 'X', 'X'
		if kept := m.Payload[0] == 'X'; kept != c.kept || m.ID != "id" || len(m.Payload) != c.bytes || cap(m.Payload) > 2*c.bytes+8 {
			t.Errorf("%s: kept %v, ID %q", c.what, kept, m.ID)
		}
	}
}

func TestTextMustBeUTF8(t *testing.T) {
	const latin1, utf16, binary = 8, 101, 63
	for _, tt := range []struct {
		collation  uint64
		columnType byte
		value      string
		ok         bool
	}{
		{latin1, mysql.MYSQL_TYPE_VARCHAR, "plain", true},
		{latin1, mysql.MYSQL_TYPE_VARCHAR, "caf\xe9", false},
		{utf16, mysql.MYSQL_TYPE_VARCHAR, "\x00a", false},
		{binary, mysql.MYSQL_TYPE_VARCHAR, "\xff\xfe", true},
		{binary, mysql.MYSQL_TYPE_STRING, "a", false},
	} {
		e := outboxMap()
		e.ColumnType[4] = tt.columnType
		e.DefaultCharset = []uint64{45, 4, tt.collation}
		l := newDecoder(newMapping(Config{}.withDefaults())).newLayout(e)
		_, fault := l.message([]any{"i", "t", nil, nil, tt.value, nil}, nil, time.Time{})
		if (fault == nil) != tt.ok {
			t.Errorf("collation %d, type %d, %q: %v", tt.collation, tt.columnType, tt.value, fault)
		}
	}
}
