package binlog

import (
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// debezium is a table of Debezium's outbox event router with one more column.
func debeziumMap() *replication.TableMapEvent {
	e := outboxMap("id", "aggregatetype", "aggregateid", "type", "payload", "tracingspancontext", "tenant")
	e.ColumnType[0], e.ColumnMeta[0] = mysql.MYSQL_TYPE_STRING, 0xfe10 // BINARY(16)
	e.ColumnType[4], e.ColumnType[6] = mysql.MYSQL_TYPE_JSON, mysql.MYSQL_TYPE_LONG
	e.ColumnCharset = []uint64{63, 46, 46, 46, 46}
	return e
}

func debeziumRow() []any {
	return []any{"\x01\x92\xf1\xa0", "Order", "4711", "Created", `{"total": 1}`, "traceparent=" + traceparent, int32(7)}
}

func debeziumLayout(t *testing.T, change func(*Config)) *layout {
	t.Helper()
	m := Debezium()
	cfg := Config{Columns: m.Columns, Route: m.Route, Headers: append(m.Headers, "tenant"), ContentType: m.ContentType}
	if change != nil {
		change(&cfg)
	}
	cfg = cfg.withDefaults()
	if faults := cfg.validateMapping(); faults != nil {
		t.Fatal(faults)
	}
	return newDecoder(newMapping(cfg)).newLayout(debeziumMap())
}

func TestDebeziumRow(t *testing.T) {
	at := time.Unix(5, 0)
	m, fault := debeziumLayout(t, nil).message(debeziumRow(), nil, at)
	if fault != nil {
		t.Fatal(fault)
	}
	if m.ID != "0192f1a0-0000-0000-0000-000000000000" || m.Topic != "Order.Created" || m.Key != "4711" || m.ContentType != "application/json" ||
		string(m.Payload) != `{"total":1}` || !m.CreatedAt.Equal(at) || len(m.Headers) != 3 || m.Headers.Get("eventType") != "Created" ||
		m.Headers.Get("traceparent") != traceparent || m.Headers.Get("tenant") != "7" {
		t.Errorf("got %+v", m)
	}
}

// TestMappedRowFaults: what a mapping can't make a message of names the column, and
// is that row's fault, or that of all rows of the table.
func TestMappedRowFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		column int
		v      any
		want   string
		table  bool
	}{
		"NULL in a template":       {3, nil, "column type is NULL", false},
		"empty in a template":      {1, "", "column aggregatetype is empty", false},
		"no token":                 {3, "Order Created", "column type holds no tokens of a subject", false},
		"wildcard":                 {3, "*", "column type holds no tokens of a subject", false},
		"dot at an end":            {3, "Created.", "column type holds no tokens of a subject", false},
		"not UTF-8":                {3, "\xe9", "column type is not UTF-8", false},
		"NULL payload":             {4, nil, "column payload is NULL", false},
		"key":                      {2, "a\nb", "key holds a line break", false},
		"properties":               {5, `a=\u1`, "column tracingspancontext", false},
		"reserved property":        {5, "Nats-Msg-Id=x", "column tracingspancontext: header \"Nats-Msg-Id\" is reserved", false},
		"property twice":           {5, "eventType=x", "column tracingspancontext is header eventType, which the row has already", false},
		"property with a bad name": {5, "a\\ b=x", "column tracingspancontext", false},
	} {
		t.Run(name, func(t *testing.T) {
			row := debeziumRow()
			row[tt.column] = tt.v
			_, fault := debeziumLayout(t, nil).message(row, nil, time.Time{})
			if fault == nil || !strings.Contains(fault.Problem, tt.want) || fault.table != tt.table || fault.ID == "" {
				t.Errorf("got %+v, want %q", fault, tt.want)
			}
		})
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"template":      {func(c *Config) { c.Route.Topic = "${agregatetype}" }, "it had no column agregatetype"},
		"header":        {func(c *Config) { c.Headers = []string{"tennant"} }, "it had no column tennant"},
		"tracing":       {func(c *Config) { c.Columns.Tracing = "trace" }, "it had no column trace"},
		"number as ID":  {func(c *Config) { c.Columns.ID = "tenant" }, "column tenant holds a int32"},
		"UUID as bytes": {func(c *Config) { c.Columns.ID, c.Columns.Payload = "type", "id" }, "column id is BINARY"},
	} {
		t.Run(name, func(t *testing.T) {
			_, fault := debeziumLayout(t, tt.change).message(debeziumRow(), nil, time.Time{})
			if fault == nil || !strings.Contains(fault.Problem, tt.want) || !fault.table {
				t.Errorf("got %+v, want %q", fault, tt.want)
			}
		})
	}
}

// TestOptionalColumns: rows from before a column was there have no such header.
func TestOptionalColumns(t *testing.T) {
	l := debeziumLayout(t, func(c *Config) { c.Headers, c.Columns.Tracing = []string{"region?", "tenant?:Tenant"}, "gone?" })
	m, fault := l.message(debeziumRow(), nil, time.Time{})
	if fault != nil || len(m.Headers) != 1 || m.Headers.Get("Tenant") != "7" {
		t.Errorf("%v, %v", m.Headers, fault)
	}
}

func TestMappedColumnsMustBeInTheImage(t *testing.T) {
	l := debeziumLayout(t, nil)
	for i := range l.names {
		if _, fault := l.message(debeziumRow(), []int{i}, time.Time{}); fault == nil || !strings.Contains(fault.Problem, "binlog_row_image") {
			t.Errorf("column %s is missing: %v", l.names[i], fault)
		}
	}
}

// TestRowHeadersAndColumns: the row's own headers and the mapped ones don't mix.
func TestRowHeadersAndColumns(t *testing.T) {
	cfg := Config{Headers: []string{"created_at:at", "message_key:Content-Type"}, ContentType: "text/plain"}.withDefaults()
	l := newDecoder(newMapping(cfg)).newLayout(outboxMap())
	row := []any{"i", "t", "application/x", []byte(`{"at":"x"}`), "p", "now"}
	if _, fault := l.message(row, nil, time.Time{}); fault == nil || !strings.Contains(fault.Problem, "column created_at is header at, which the row has already") {
		t.Errorf("got %v", fault)
	}
	row[3] = nil
	if m, fault := l.message(row, nil, time.Time{}); fault != nil || m.ContentType != "application/x" || m.Headers.Get("at") != "now" {
		t.Errorf("got %+v, %v", m, fault)
	}
	row[2] = nil
	if m, fault := l.message(row, nil, time.Time{}); fault != nil || m.ContentType != "text/plain" {
		t.Errorf("got %+v, %v", m, fault)
	}
}

func TestUnsuitableColumns(t *testing.T) {
	text := func(charset string) tableColumn { return tableColumn{"varchar", charset, "255", false} }
	of := func(dataType string) tableColumn { return tableColumn{dataType: dataType} }
	for _, tt := range []struct {
		as      role
		column  tableColumn
		swapped bool
		want    string // "" for suitable
	}{
		{asID, tableColumn{"binary", "", "16", false}, false, ""},
		{asID, tableColumn{"binary", "", "12", false}, false, "loses trailing zeros"},
		{asBytes, tableColumn{"binary", "", "16", false}, false, "loses trailing zeros"},
		{asID, of("uuid"), false, ""},
		{asID, of("uuid"), true, "never swapped"},
		{asID, of("bigint"), false, "unique for ever"},
		{asText, of("bigint"), false, ""},
		{asTopic, of("enum"), false, ""},
		{asText, tableColumn{"enum", "latin1", "", false}, false, "not UTF-8"},
		{asText, of("inet6"), false, "does not tell"},
		{asText, of("geometry"), false, "no text"},
		{asBytes, of("bigint"), false, "text or binary"},
		{asProperty, text("utf8mb4"), false, ""},
		{asProperty, of("int"), false, "text or binary"},
		{asTopic, text("latin1"), false, ""},
		{asText, text("latin1"), false, "not UTF-8"},
		{asText, text("utf16"), false, "this character set"},
		{asTime, of("date"), false, "point in time"},
		{asTime, of("datetime"), false, ""},
	} {
		problem, fix := unsuitable(tt.as, tt.column, tt.swapped)
		if (problem == "") != (tt.want == "") || !strings.Contains(problem, tt.want) || problem != "" && fix == "" {
			t.Errorf("%v as %d: %q (fix %q), want %q", tt.column, tt.as, problem, fix, tt.want)
		}
	}
}

// TestColumnFindings: a column that is used twice is one finding, the worst.
func TestColumnFindings(t *testing.T) {
	m := Debezium()
	r, err := New(Config{Addr: "a:1", User: "u", Tables: []string{"s.t"}, Columns: m.Columns, Route: m.Route, Headers: append(m.Headers, "aggregatetype")})
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]tableColumn{"id": {"binary", "", "16", false}, "aggregatetype": {"varchar", "latin1", "255", false},
		"aggregateid": {"bigint", "", "", true}, "type": {"varchar", "utf8mb4", "255", true}, "payload": {"json", "", "", false}}
	got := ""
	for _, f := range r.judgeColumns(table{"s", "t"}, columns) {
		mark := "ok"
		switch {
		case !f.OK:
			mark = "fault"
		case f.Warning != "":
			mark = "warning"
		}
		got += strings.TrimPrefix(f.Name, "column s.t.") + " " + mark + "\n"
	}
	const want = "id ok\naggregatetype fault\ntype warning\naggregateid ok\npayload ok\ntracingspancontext ok\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
