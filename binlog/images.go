package binlog

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
)

// images are the rows of an event that inserts into a wanted table, as they stand in it.
// Messages are read out of them without go-mysql, which makes a dozen pieces of garbage of
// each row, where the table is as simple as the one that binjet creates. Everything else
// go-mysql decodes: other types and mappings, and whatever is wrong with what is read, so
// that there is one place that says so. Columns that are not mapped are passed over.
type images struct {
	table *replication.TableMapEvent
	rest  []byte // of them, yet to be read

	parser    *replication.BinlogParser
	raw, body []byte
}

// Decode and Dump make it an event of go-mysql.
func (*images) Decode([]byte) error { return errors.ErrUnsupported }
func (*images) Dump(io.Writer)      {}

// find looks for them in the body of an event; false where go-mysql has to.
func (i *images) find(kind replication.EventType, table *replication.TableMapEvent, raw, body []byte) bool {
	at := 6 + 2 // table ID and flags
	switch kind {
	case replication.WRITE_ROWS_EVENTv1:
	case replication.WRITE_ROWS_EVENTv2:
		if len(body) < at+2 {
			return false
		}
		extra := int(binary.LittleEndian.Uint16(body[at:])) // it counts itself
		if extra < 2 || len(body) < at+extra {
			return false
		}
		at += extra
	default:
		return false
	}
	columns, n, err := packed(body[at:])
	if at += n; err != nil || columns == 0 || columns != table.ColumnCount {
		return false
	}
	bitmap := (int(columns) + 7) / 8
	if len(body) < at+bitmap || !allSet(body[at:at+bitmap], int(columns)) {
		return false
	}
	i.table, i.rest, i.raw, i.body = table, body[at+bitmap:], raw, body
	return true
}

func allSet(bitmap []byte, n int) bool {
	for i := range n {
		if bitmap[i/8]&(1<<(i%8)) == 0 {
			return false
		}
	}
	return true
}

// decoded is the event as go-mysql decodes it.
func (i *images) decoded() (e *replication.RowsEvent, err error) {
	defer caught(&err)
	ev, err := decodeBy(i.parser, i.raw, i.body)
	if err != nil {
		return nil, err
	}
	return ev.Event.(*replication.RowsEvent), nil
}

// What a column is for.
const (
	noField = iota
	fieldID
	fieldTopic
	fieldKey
	fieldHeaders
	fieldPayload
	fieldCreatedAt
	fields
)

// cell is where the value of a column is in an image.
type cell struct {
	field int  // what it is for
	width int  // bytes of it, or of its length
	sized bool // its length stands in front of it
	utf8  bool // it has to be UTF-8
}

// cellsOf is how to read the rows of a table as simple as ours; nil: go-mysql has to.
func (l *layout) cellsOf() []cell {
	if l.fault != "" || l.topicParts != nil || l.keyParts != nil || l.extra != nil || l.tracing >= 0 {
		return nil
	}
	cells := make([]cell, len(l.event.ColumnType))
	for i, t := range l.event.ColumnType {
		var ok bool
		if cells[i], ok = cellOf(t, l.event.ColumnMeta[i]); !ok {
			return nil
		}
	}
	for f, i := range [...]int{fieldID: l.id, fieldTopic: l.topic, fieldKey: l.key, fieldHeaders: l.headers, fieldPayload: l.payload} {
		if f == noField || i < 0 {
			continue
		}
		text := l.types[i].valueType == typeText
		if cells[i].field != noField || !text && l.types[i].valueType != typeBytes {
			return nil
		}
		cells[i].field, cells[i].utf8 = f, text
	}
	if i := l.createdAt; i >= 0 {
		if cells[i].field != noField || l.event.ColumnType[i] != mysql.MYSQL_TYPE_TIMESTAMP2 {
			return nil
		}
		cells[i].field = fieldCreatedAt
	}
	return cells
}

// cellOf knows the types that outbox tables have, and how long their values are.
func cellOf(t byte, meta uint16) (cell, bool) {
	fraction := int(meta+1) / 2
	switch t {
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_YEAR:
		return cell{width: 1}, true
	case mysql.MYSQL_TYPE_SHORT:
		return cell{width: 2}, true
	case mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_DATE:
		return cell{width: 3}, true
	case mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_FLOAT:
		return cell{width: 4}, true
	case mysql.MYSQL_TYPE_LONGLONG, mysql.MYSQL_TYPE_DOUBLE:
		return cell{width: 8}, true
	case mysql.MYSQL_TYPE_TIMESTAMP2:
		return cell{width: 4 + fraction}, meta <= 6
	case mysql.MYSQL_TYPE_DATETIME2:
		return cell{width: 5 + fraction}, meta <= 6
	case mysql.MYSQL_TYPE_TIME2:
		return cell{width: 3 + fraction}, meta <= 6
	case mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_JSON:
		return cell{width: int(meta), sized: true}, meta >= 1 && meta <= 4
	case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING:
		return cell{width: lengthBytes(int(meta)), sized: true}, true
	case mysql.MYSQL_TYPE_STRING:
		real := byte(meta >> 8)
		switch real {
		case mysql.MYSQL_TYPE_ENUM:
			return cell{width: int(meta & 0xff)}, meta&0xff == 1 || meta&0xff == 2
		case mysql.MYSQL_TYPE_SET:
			return cell{width: int(meta & 0xff)}, meta&0xff >= 1 && meta&0xff <= 8
		}
		return cell{width: lengthBytes(fixedLength(meta)), sized: true}, real == 0 || real|0x30 == mysql.MYSQL_TYPE_STRING
	}
	return cell{}, false
}

func lengthBytes(most int) int {
	if most < 256 {
		return 1
	}
	return 2
}

// image finds the values of the row that b begins with. NULL is nil. False: it is cut short.
func image(cells []cell, b []byte, values *[fields][]byte) (size int, ok bool) {
	at := (len(cells) + 7) / 8
	if len(b) < at {
		return 0, false
	}
	for i, c := range cells {
		if b[i/8]&(1<<(i%8)) != 0 {
			values[c.field] = nil
			continue
		}
		n := c.width
		if len(b)-at < n {
			return 0, false
		}
		if c.sized {
			at, n = at+n, int(mysql.FixedLengthInt(b[at:at+n]))
			if len(b)-at < n {
				return 0, false
			}
		}
		value := b[at : at+n : at+n]
		if c.utf8 && !utf8.Valid(value) {
			return 0, false
		}
		values[c.field] = value
		at += n
	}
	return at, true
}

// next reads the message of the next row, as [layout.message] does of what go-mysql makes of
// it. False: go-mysql has to read it, and those behind it.
func (l *layout) next(rows *images, committed time.Time) (m binjet.Message, ok bool) {
	var v [fields][]byte
	size, ok := image(l.cells, rows.rest, &v)
	if !ok || v[fieldID] == nil || v[fieldTopic] == nil || v[fieldPayload] == nil {
		return m, false
	}
	m.ID, m.Topic, m.Key = copied(v[fieldID], v[fieldTopic], v[fieldKey])
	if m.CreatedAt = committed; v[fieldCreatedAt] != nil {
		if m.CreatedAt = timestamp(v[fieldCreatedAt]); m.CreatedAt.IsZero() {
			return m, false
		}
	}
	r := rowReader{layout: l}
	if r.complete(&m, v[fieldHeaders]) != "" {
		return m, false
	}
	m.Payload = l.kept(v[fieldPayload], size)
	rows.rest = rows.rest[size:]
	return m, true
}

// timestamp reads a TIMESTAMP: seconds since 1970, and a fraction in hundredths, ten-thousandths
// or millionths. Zero seconds are no time.
func timestamp(b []byte) time.Time {
	seconds := binary.BigEndian.Uint32(b)
	if seconds == 0 {
		return time.Time{}
	}
	micros := int64(mysql.BFixedLengthInt(b[4:]))
	for range 3 - (len(b) - 4) {
		micros *= 100
	}
	return time.Unix(int64(seconds), micros*1000).UTC()
}
