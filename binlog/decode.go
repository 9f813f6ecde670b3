package binlog

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
)

// collationBinary is the collation of VARBINARY and BLOB columns.
const collationBinary = 63

// decoder turns row images into messages. It maps columns by the names in the
// TABLE_MAP event, which are those of the moment the row was written.
type decoder struct {
	columns Columns
	layouts map[uint64]*layout // by table ID
}

// layout is where the mapped columns of one version of a table are.
type layout struct {
	event *replication.TableMapEvent // what it was made from
	table table
	fault string // why no row of it can be read
	hint  string

	id, topic, key, headers, payload, createdAt int // index; -1: none

	collations map[int]uint64
}

func newDecoder(c Columns) *decoder {
	return &decoder{columns: c, layouts: make(map[uint64]*layout)}
}

// layoutOf returns the layout for a TABLE_MAP event. It is made anew when
// anything that it depends on differs from the last event of the same table ID.
func (d *decoder) layoutOf(e *replication.TableMapEvent) *layout {
	if l := d.layouts[e.TableID]; l != nil && sameTable(l.event, e) {
		return l
	}
	if len(d.layouts) > 100 { // table IDs change with every DDL
		clear(d.layouts)
	}
	l := d.newLayout(e)
	d.layouts[e.TableID] = l
	return l
}

func sameTable(a, b *replication.TableMapEvent) bool {
	if !bytes.Equal(a.Schema, b.Schema) || !bytes.Equal(a.Table, b.Table) || !bytes.Equal(a.ColumnType, b.ColumnType) ||
		len(a.ColumnName) != len(b.ColumnName) || len(a.DefaultCharset) != len(b.DefaultCharset) ||
		len(a.ColumnCharset) != len(b.ColumnCharset) {
		return false
	}
	for i := range a.ColumnName {
		if !bytes.Equal(a.ColumnName[i], b.ColumnName[i]) {
			return false
		}
	}
	for i := range a.DefaultCharset {
		if a.DefaultCharset[i] != b.DefaultCharset[i] {
			return false
		}
	}
	for i := range a.ColumnCharset {
		if a.ColumnCharset[i] != b.ColumnCharset[i] {
			return false
		}
	}
	return true
}

func (d *decoder) newLayout(e *replication.TableMapEvent) *layout {
	l := &layout{event: e, table: table{string(e.Schema), string(e.Table)}, collations: e.CollationMap()}
	if len(e.ColumnName) == 0 {
		l.fault = "the binlog does not name the columns (binlog_row_metadata is not FULL)"
		l.hint = hintMetadata
		return l
	}
	at := make(map[string]int, len(e.ColumnName))
	for i, name := range e.ColumnName {
		at[strings.ToLower(string(name))] = i
	}
	var missing []string
	index := func(name string) int {
		if name == NoColumn {
			return -1
		}
		i, ok := at[strings.ToLower(name)]
		if !ok {
			missing = append(missing, name)
		}
		return i
	}
	c := d.columns
	l.id, l.topic, l.key = index(c.ID), index(c.Topic), index(c.Key)
	l.headers, l.payload, l.createdAt = index(c.Headers), index(c.Payload), index(c.CreatedAt)
	if missing != nil {
		l.fault = fmt.Sprintf("it had no column %s when the row was written", strings.Join(missing, ", "))
		l.hint = hintColumns
	}
	return l
}

// message decodes one row image. A nil *RowError means that m can be published;
// otherwise Table, ID, Problem and Hint of it are set. The bytes are copied.
// committed stands in for a created_at that is NULL, zero or not mapped.
func (l *layout) message(row []any, skipped []int, committed time.Time) (m binjet.Message, fault *RowError) {
	bad := func(problem, hint string) (binjet.Message, *RowError) {
		return m, &RowError{Table: l.table.String(), ID: m.ID, Problem: problem, Hint: hint, table: true}
	}
	if l.fault != "" {
		return bad(l.fault, l.hint)
	}
	for _, i := range skipped {
		if l.mapped(i) {
			return bad(fmt.Sprintf("column %s is not in the binlog (binlog_row_image is not FULL)", l.name(i)), hintImage)
		}
	}
	r := rowReader{layout: l, row: row}
	m.ID = string(r.bytes(l.id, false))
	m.Topic = string(r.bytes(l.topic, false))
	m.Key = string(r.bytes(l.key, true))
	headers := r.bytes(l.headers, true)
	m.Payload = append([]byte{}, r.bytes(l.payload, false)...)
	m.CreatedAt = r.time(l.createdAt, committed)
	problem := complete(&m, headers)
	switch {
	case r.problem != "":
		m, fault = bad(r.problem, "Mend what writes such rows; the outbox table that binjet init creates has the right types")
		fault.table = r.table
	case problem != "":
		m, fault = bad(problem, "Mend what writes such rows: the producer library refuses them before they are inserted")
		fault.table = false
	default:
		return m, nil
	}
	if m.Headers == nil {
		fault.headers = append([]byte(nil), headers...)
	}
	return m, fault
}

// complete reads the headers into m and says what is wrong with it as a whole.
func complete(m *binjet.Message, headers []byte) string {
	h, err := binjet.DecodeHeaders(headers)
	if err != nil {
		return err.Error()
	}
	if v := h[binjet.HeaderContentType]; len(v) == 1 {
		m.ContentType = v[0]
		delete(h, binjet.HeaderContentType)
	}
	if len(h) > 0 {
		m.Headers = h
	}
	if err := m.CheckRow(); err != nil {
		return err.Error()
	}
	return ""
}

func (l *layout) mapped(i int) bool {
	return i == l.id || i == l.topic || i == l.key || i == l.headers || i == l.payload || i == l.createdAt
}

func (l *layout) name(i int) string { return string(l.event.ColumnName[i]) }

// rowReader reads the values of one row and keeps the first problem.
type rowReader struct {
	*layout
	row     []any
	problem string
	table   bool // the problem is that of a column's type
}

func (r *rowReader) fail(i int, format string, args ...any) {
	if r.problem == "" {
		r.problem = fmt.Sprintf("column %s ", r.name(i)) + fmt.Sprintf(format, args...)
	}
}

// bytes returns a text or binary value, which aliases the event.
func (r *rowReader) bytes(i int, null bool) []byte {
	if i < 0 {
		return nil
	}
	var b []byte
	switch v := r.row[i].(type) {
	case nil:
		if !null {
			r.fail(i, "is NULL")
		}
		return nil
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		r.fail(i, "holds a %T: a text or binary column is needed", v)
		r.table = true
		return nil
	}
	if problem := r.encoding(i, b); problem != "" {
		r.fail(i, "%s", problem)
	}
	return b
}

// encoding: text comes in the column's own character set, so only what is UTF-8
// as it stands can be passed on.
func (r *rowReader) encoding(i int, b []byte) string {
	collation, known := r.collations[i]
	switch {
	case !known:
		return ""
	case collation == collationBinary:
		if r.event.ColumnType[i] == mysql.MYSQL_TYPE_STRING {
			r.table = true
			return "is BINARY, which loses trailing zeros in the binlog: use VARBINARY or a BLOB"
		}
		return ""
	case wide(collation):
		r.table = true
		return "is in a UCS-2, UTF-16 or UTF-32 character set: convert the column to utf8mb4"
	case !utf8.Valid(b):
		return "is not UTF-8: convert the column to utf8mb4, or to a binary type"
	}
	return ""
}

// wide: the collations of ucs2, utf16, utf16le and utf32, in MySQL and MariaDB.
func wide(id uint64) bool {
	switch {
	case id == 35, id == 90, id >= 128 && id <= 151, id == 159, // ucs2
		id == 54, id == 55, id == 56, id == 62, id >= 101 && id <= 124, // utf16, utf16le
		id == 60, id == 61, id >= 160 && id <= 183: // utf32
		return true
	}
	return id >= 0xA00 && id < 0xD00 // MariaDB's uca1400 for ucs2, utf16 and utf32
}

// time reads created_at. The value that stands for no time becomes fallback.
func (r *rowReader) time(i int, fallback time.Time) time.Time {
	if i < 0 {
		return fallback
	}
	switch v := r.row[i].(type) {
	case nil:
		return fallback
	case time.Time:
		return v.UTC()
	case string: // what is no point in time, such as 0000-00-00
		if t, ok := parseTime(v); ok {
			return t
		}
		return fallback
	default:
		r.fail(i, "holds a %T: a TIMESTAMP or DATETIME column is needed", v)
		r.table = true
		return fallback
	}
}

// parseTime reads a date and time as SQL shows it, in UTC.
func parseTime(s string) (time.Time, bool) {
	t, err := time.ParseInLocation("2006-01-02 15:04:05.999999", s, time.UTC)
	return t, err == nil
}
