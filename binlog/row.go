package binlog

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/binjet/binjet"
)

// message decodes one row. A nil *RowError means that m can be published;
// otherwise Table, ID, Problem and Hint of it are set. The bytes are copied, or the event is kept.
// committed stands in for a created_at that is NULL, zero or not mapped.
func (l *layout) message(row []any, skipped []int, committed time.Time) (m binjet.Message, fault *RowError) {
	bad := func(problem, hint string, table bool) (binjet.Message, *RowError) {
		return m, &RowError{Table: l.table.String(), ID: m.ID, Problem: problem, Hint: hint, table: table}
	}
	if l.fault != "" {
		return bad(l.fault, l.hint, true)
	}
	for _, i := range skipped {
		if l.mapped(i) {
			return bad(fmt.Sprintf("column %s is not in the binlog (binlog_row_image is not FULL)", l.names[i]), hintImage, true)
		}
	}
	r := rowReader{layout: l, row: row}
	id, topic := r.messageID(), r.routed(l.topic, l.topicParts, true)
	m.ID, m.Topic, m.Key = copied(id, topic, r.routed(l.key, l.keyParts, false))
	headers := r.bytes(l.headers, true)
	m.Payload = r.payloadKept()
	m.CreatedAt = r.time(l.createdAt, committed)
	problem := r.complete(&m, headers)
	switch {
	case r.table:
		m, fault = bad(r.problem, "Give the column a type that can be read, or map another one: binjet check names both", true)
	case r.problem != "":
		m, fault = bad(r.problem, "Mend what writes such rows", false)
	case problem != "":
		m, fault = bad(problem, "Mend what writes such rows: the producer library refuses them before they are inserted", false)
	default:
		return m, nil
	}
	if m.Headers == nil {
		fault.headers = append([]byte(nil), headers...)
	}
	return m, fault
}

// copied returns the same in bytes of their own, which are one piece: what is read may
// alias the event.
func copied[T string | []byte](a, b, c T) (string, string, string) {
	var room [256]byte
	text := string(append(append(append(room[:0], a...), b...), c...))
	return text[:len(a)], text[len(a) : len(a)+len(b)], text[len(a)+len(b):]
}

// idOf is the message ID of a row, "" when it can't be read.
func (l *layout) idOf(row []any) string {
	if l.fault != "" {
		return ""
	}
	r := rowReader{layout: l, row: row}
	return strings.Clone(r.messageID())
}

// timeOf is the created_at of a row; zero where it has none.
func (l *layout) timeOf(row []any) time.Time {
	if l.fault != "" {
		return time.Time{}
	}
	r := rowReader{layout: l, row: row}
	return r.time(l.createdAt, time.Time{})
}

// complete reads the headers into m and says what is wrong with it as a whole.
func (r *rowReader) complete(m *binjet.Message, headers []byte) string {
	alone := len(r.extra) == 0 && r.tracing < 0
	if alone && len(headers) > 0 && bytes.Equal(headers, r.plain.column) {
		m.ContentType = r.plain.contentType
		return checked(m)
	}
	h, err := binjet.DecodeHeaders(headers)
	if err != nil {
		return err.Error()
	}
	if len(r.extra) > 0 || r.tracing >= 0 {
		if h == nil {
			h = make(binjet.Headers)
		}
		if problem := r.addHeaders(h); problem != "" {
			return problem
		}
	}
	if v := h[binjet.HeaderContentType]; len(v) == 1 {
		m.ContentType = strings.Clone(v[0]) // it was a part of the whole column
		if delete(h, binjet.HeaderContentType); alone && len(h) == 0 {
			r.plain = plainHeaders{bytes.Clone(headers), m.ContentType}
		}
	} else if v == nil {
		m.ContentType = r.contentType
	}
	if len(h) > 0 {
		m.Headers = h
	}
	return checked(m)
}

func checked(m *binjet.Message) string {
	if err := m.CheckRow(); err != nil {
		return err.Error()
	}
	return ""
}

// addHeaders adds the columns that become headers, and those of the tracing context.
func (r *rowReader) addHeaders(h binjet.Headers) string {
	set := func(column int, name, value string) string {
		if _, twice := h[name]; twice {
			return fmt.Sprintf("column %s is header %s, which the row has already", r.names[column], name)
		}
		if err := binjet.CheckHeader(name, value); err != nil {
			return fmt.Sprintf("column %s: %s", r.names[column], err)
		}
		h[name] = []string{value}
		return ""
	}
	for _, e := range r.extra {
		if r.row[e.column] == nil {
			continue
		}
		value, ok := r.text(e.column)
		if !ok {
			return "" // told as r.problem
		}
		if problem := set(e.column, e.name, strings.Clone(value)); problem != "" {
			return problem
		}
	}
	if r.tracing < 0 {
		return ""
	}
	list, err := properties(string(r.bytes(r.tracing, true)))
	if err != nil {
		return fmt.Sprintf("column %s: %s", r.names[r.tracing], err)
	}
	for _, p := range list {
		if binjet.ReservedHeader(p.name) {
			return fmt.Sprintf("column %s: header %q is reserved", r.names[r.tracing], p.name)
		}
		if problem := set(r.tracing, p.name, p.value); problem != "" {
			return problem
		}
	}
	return ""
}

// rowReader reads the values of one row and keeps the first problem.
type rowReader struct {
	*layout
	row     []any
	problem string
	table   bool // the problem is that of a column's type
}

func (r *rowReader) fail(i int, format string, args ...any) {
	if r.problem == "" {
		r.problem = fmt.Sprintf("column %s ", r.names[i]) + fmt.Sprintf(format, args...)
	}
}

// failType is fail for what all rows of the table have in common.
func (r *rowReader) failType(i int, format string, args ...any) {
	if r.problem == "" {
		r.table = true
	}
	r.fail(i, format, args...)
}

// messageID is text, or a UUID; it may alias the event.
func (r *rowReader) messageID() string {
	if r.types[r.id].valueType == typeUUID {
		text, _ := r.text(r.id)
		return text
	}
	return r.string(r.id, false)
}

// routed is the topic or the key: a column, or what parts make of several. It may alias
// the event.
func (r *rowReader) routed(column int, parts []boundPart, topic bool) string {
	switch {
	case parts != nil:
		return r.expand(parts, topic)
	case column < 0:
		return ""
	}
	switch r.types[column].valueType {
	case typeText, typeBytes:
		return r.string(column, !topic)
	}
	if r.row[column] == nil && !topic {
		return ""
	}
	text, _ := r.text(column)
	return text
}

// expand makes text of a template. It is "" when a column leaves a hole in it.
func (r *rowReader) expand(parts []boundPart, topic bool) string {
	var out []byte
	for _, p := range parts {
		if p.column < 0 {
			out = append(out, p.literal...)
			continue
		}
		text, ok := r.text(p.column)
		switch {
		case !ok:
			return ""
		case text == "":
			r.fail(p.column, "is empty, and stands in a template")
			return ""
		}
		if topic {
			if err := binjet.CheckTopic(text); err != nil {
				r.fail(p.column, "holds no tokens of a subject: %s", err)
				return ""
			}
		}
		out = append(out, text...)
	}
	return string(out)
}

// text is a value as text, for which NULL will not do.
func (r *rowReader) text(i int) (string, bool) {
	if r.row[i] == nil {
		r.fail(i, "is NULL")
		return "", false
	}
	if problem := r.typeProblem(i, true); problem != "" {
		r.failType(i, "%s", problem)
		return "", false
	}
	text, problem := r.types[i].text(r.row[i], r.swapped)
	if problem != "" {
		r.fail(i, "%s", problem)
		return "", false
	}
	return text, true
}

// string is bytes as text, which is not copied where it is text already.
func (r *rowReader) string(i int, null bool) string {
	if v, ok := r.row[i].(string); ok && (r.types[i].valueType == typeBytes || r.types[i].valueType == typeText && utf8.ValidString(v)) {
		return v
	}
	return string(r.bytes(i, null))
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
		r.failType(i, "holds a %T: a text or binary column is needed", v)
		return nil
	}
	switch r.types[i].valueType {
	case typeBytes:
	case typeText:
		if !utf8.Valid(b) {
			r.fail(i, "%s", notUTF8)
		}
	default:
		if problem := r.typeProblem(i, false); problem != "" {
			r.failType(i, "%s", problem)
		}
	}
	return b
}

// typeProblem says why no value of a column can be read, as text or as it is.
func (l *layout) typeProblem(i int, asText bool) string {
	switch k := l.types[i].valueType; {
	case k == typeWide:
		return "is in a UCS-2, UTF-16 or UTF-32 character set: convert the column to utf8mb4"
	case k == typeBinary, k == typeUUID && !asText:
		return "is BINARY, which loses trailing zeros in the binlog: use VARBINARY or a BLOB"
	case k == typeOther && asText:
		return "is of a type that has no text"
	case !asText && k != typeBytes && k != typeText && k != typeJSON:
		return "is neither text nor binary"
	}
	return ""
}

// payloadKept is the payload in bytes that stay: its own, or those of the event.
func (r *rowReader) payloadKept() []byte {
	b := r.bytes(r.payload, false)
	if b != nil && r.types[r.payload].valueType == typeJSON {
		return canonicalJSON(make([]byte, 0, len(b)), b)
	}
	all := 0
	for _, v := range r.row {
		switch v := v.(type) {
		case string:
			all += len(v)
		case []byte:
			all += len(v)
		}
	}
	return r.kept(b, all)
}

// payloadsAtOnce is how many bytes of small payloads are one allocation.
const payloadsAtOnce = 8 << 10

// maxKept is far below where an event is read into room that grows, and may be larger.
const maxKept = 1 << 20

// kept is a payload in bytes that stay, out of a row of so many bytes. It may keep the
// whole event alive: large ones are read into memory of their own, unlike the rows of a SELECT,
// and where all else of the row is less than a quarter of it, hardly more is held than is counted.
func (l *layout) kept(b []byte, row int) []byte {
	switch {
	case l.event == nil || len(b) == 0:
		return append([]byte{}, b...)
	case len(b) >= largeRows && len(b) <= maxKept && row <= len(b)*5/4:
		return b[:len(b):len(b)]
	}
	own := l.room.Take(len(b), payloadsAtOnce)
	copy(own, b)
	return own
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
	case string: // what is no point in time, such as 0000-00-00, and all of a SELECT's
		if t, ok := parseTime(v); ok {
			return t
		}
		return fallback
	default:
		r.failType(i, "holds a %T: a TIMESTAMP or DATETIME column is needed", v)
		return fallback
	}
}

// parseTime reads a date and time as SQL shows it, in UTC.
func parseTime(s string) (time.Time, bool) {
	t, err := time.ParseInLocation("2006-01-02 15:04:05.999999", s, time.UTC)
	return t, err == nil
}
