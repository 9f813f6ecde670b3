package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// events decodes events, those of a log or those inside a compressed transaction.
// Nearly all events of a log are of a few kinds, and of tables that nobody wants, so
// these make no garbage: go-mysql decodes them into the same few structs again and
// again, a TABLE_MAP that is the same as before is not decoded, and rows of other
// tables are passed over. Everything else go-mysql's own parser decodes.
type events struct {
	parser func() *replication.BinlogParser // makes a new one
	full   *replication.BinlogParser        // knows the tables in maps
	wanted *tableSet

	format []byte // the last FORMAT_DESCRIPTION
	kinds  int    // how many it knows
	crc    bool   // events end with a checksum
	plain  bool   // table IDs have six bytes; they had four before MySQL 5.1.4

	maps      map[uint64]*tableMap
	held      int    // bytes of maps, and of those that they replaced
	statement uint64 // a table ID is valid for one

	event replication.BinlogEvent
	head  replication.EventHeader
	gtid  replication.GTIDEvent
	maria replication.MariadbGTIDEvent
	query replication.QueryEvent
	xid   replication.XIDEvent
	rows  images
}

// tableMap is the last TABLE_MAP of a table ID.
type tableMap struct {
	event     *replication.TableMapEvent
	body      []byte
	wanted    bool
	statement uint64 // in which it stood
}

// maxMaps bounds the TABLE_MAPs that are kept, in bytes.
const maxMaps = 256 << 10

func newEvents(wanted *tableSet, parser func() *replication.BinlogParser) *events {
	return &events{parser: parser, full: parser(), wanted: wanted}
}

// parse decodes an event; nil: nobody needs it. What it returns is good until the next
// call only, but for tables, and for large rows that go-mysql decoded.
func (p *events) parse(raw []byte) (ev *replication.BinlogEvent, err error) {
	defer caught(&err)
	p.rows = images{} // or it keeps what may be large
	if err := p.head.Decode(raw); err != nil {
		return nil, err
	}
	if int(p.head.EventSize) != len(raw) {
		return nil, fmt.Errorf("%s of %d bytes says that it has %d", p.head.EventType, len(raw), p.head.EventSize)
	}
	if p.head.EventType == replication.FORMAT_DESCRIPTION_EVENT {
		return p.begin(raw)
	}
	body, err := p.body(raw)
	if err != nil {
		return nil, fmt.Errorf("%s at %d: %w", p.head.EventType, p.head.LogPos, err)
	}
	return p.decode(raw, body)
}

// maxReason is how much of an error of go-mysql is of use to anybody, in bytes.
const maxReason = 400

// caught is deferred to where go-mysql decodes.
func caught(err *error) {
	if v := recover(); v != nil { // cut short, and yet bearing the right checksum
		*err = fmt.Errorf("go-mysql: %v", v)
	}
	if *err != nil && len((*err).Error()) > maxReason { // it may show the whole event
		*err = errors.New(strings.ToValidUTF8((*err).Error()[:maxReason], "") + "…")
	}
}

// body is what is between header and checksum, which is verified.
func (p *events) body(raw []byte) ([]byte, error) {
	end := len(raw)
	if p.crc {
		end -= replication.BinlogChecksumLength
	}
	if end < replication.EventHeaderSize {
		return nil, errShort
	}
	if p.crc {
		if crc32.ChecksumIEEE(raw[:end]) != binary.LittleEndian.Uint32(raw[end:]) {
			return nil, replication.ErrChecksumMismatch
		}
	}
	return raw[replication.EventHeaderSize:end], nil
}

// begin takes the FORMAT_DESCRIPTION of the events that follow.
func (p *events) begin(raw []byte) (*replication.BinlogEvent, error) {
	p.format = raw
	ev, err := p.renew()
	if err != nil {
		return nil, err
	}
	e := ev.Event.(*replication.FormatDescriptionEvent)
	p.crc = e.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32
	if _, err := p.body(raw); err != nil {
		return nil, fmt.Errorf("%s at %d: %w", p.head.EventType, p.head.LogPos, err)
	}
	p.plain, p.kinds = true, len(e.EventTypeHeaderLengths)
	for i, n := range e.EventTypeHeaderLengths {
		if kind := replication.EventType(i + 1); n == 6 && (kind == replication.TABLE_MAP_EVENT || isRows(kind)) {
			p.plain = false
		}
	}
	return ev, nil
}

// renew forgets all tables.
func (p *events) renew() (*replication.BinlogEvent, error) {
	p.full, p.maps, p.held = p.parser(), make(map[uint64]*tableMap), 0
	return p.full.Parse(p.format)
}

// decode chooses what decodes an event.
func (p *events) decode(raw, body []byte) (*replication.BinlogEvent, error) {
	switch kind := p.head.EventType; {
	case kind == replication.GTID_EVENT, kind == replication.ANONYMOUS_GTID_EVENT:
		p.gtid = replication.GTIDEvent{}
		return p.into(&p.gtid, raw, body)
	case kind == replication.MARIADB_GTID_EVENT:
		p.maria = replication.MariadbGTIDEvent{GTID: mysql.MariadbGTID{ServerID: p.head.ServerID}}
		return p.into(&p.maria, raw, body)
	case kind == replication.QUERY_EVENT:
		p.query = replication.QueryEvent{}
		return p.into(&p.query, raw, body)
	case kind == replication.XID_EVENT:
		p.xid = replication.XIDEvent{}
		return p.into(&p.xid, raw, body)
	case kind == replication.MARIADB_ANNOTATE_ROWS_EVENT: // the statement before its rows
		return nil, nil
	case !p.plain || int(kind) > p.kinds:
	case kind == replication.TABLE_MAP_EVENT:
		return nil, p.table(raw, body)
	case isRows(kind):
		return p.rowsOf(raw, body)
	}
	if err := plausible(p.head.EventType, body); err != nil {
		return nil, fmt.Errorf("%s at %d: %w", p.head.EventType, p.head.LogPos, err)
	}
	return p.full.Parse(raw)
}

// into has go-mysql decode body into a struct that is used again.
func (p *events) into(e replication.Event, raw, body []byte) (*replication.BinlogEvent, error) {
	if err := e.Decode(body); err != nil {
		return nil, fmt.Errorf("%s at %d: %w", p.head.EventType, p.head.LogPos, err)
	}
	p.event = replication.BinlogEvent{RawData: raw, Header: &p.head, Event: e}
	return &p.event, nil
}

// table takes a TABLE_MAP.
func (p *events) table(raw, body []byte) error {
	id := mysql.FixedLengthInt(body[:6])
	if m := p.maps[id]; m != nil && bytes.Equal(m.body, body) {
		m.statement = p.statement
		return nil
	}
	if err := describes(body); err != nil {
		return fmt.Errorf("%s at %d: %w", p.head.EventType, p.head.LogPos, err)
	}
	kept := slices.Clip(bytes.Clone(raw)) // go-mysql's table, too, is made of it
	ev, err := p.full.Parse(kept)
	if err != nil {
		return err
	}
	e := ev.Event.(*replication.TableMapEvent)
	wanted := p.wanted.has(e.Schema, e.Table)
	if wanted {
		if err := complete(e); err != nil {
			return fmt.Errorf("%s at %d: %w", p.head.EventType, p.head.LogPos, err)
		}
	}
	p.maps[id] = &tableMap{e, kept[replication.EventHeaderSize:][:len(body)], wanted, p.statement}
	p.held += len(raw)
	return nil
}

// rowsOf finds the rows of tables that are wanted.
func (p *events) rowsOf(raw, body []byte) (*replication.BinlogEvent, error) {
	id, flags := mysql.FixedLengthInt(body[:6]), binary.LittleEndian.Uint16(body[6:])
	m := p.maps[id]
	known := m != nil && m.statement == p.statement
	if flags&replication.RowsEventStmtEndFlag != 0 {
		defer p.endStatement()
	}
	switch {
	case !known && isDummy(id), known && !m.wanted:
		return nil, nil
	case !known:
		return nil, fmt.Errorf("%s at %d: there is no TABLE_MAP for table ID %d in its statement", p.head.EventType, p.head.LogPos, id)
	}
	if err := plausible(p.head.EventType, body); err != nil {
		return nil, fmt.Errorf("%s at %d: %w", p.head.EventType, p.head.LogPos, err)
	}
	if p.rows.find(p.head.EventType, m.event, raw, body) {
		p.rows.parser = p.full // which may be another one at the end of the statement
		p.event = replication.BinlogEvent{RawData: raw, Header: &p.head, Event: &p.rows}
		return &p.event, nil
	}
	return decodeBy(p.full, raw, body)
}

// decodeBy has go-mysql decode rows. The end of a statement is kept from it, since it would
// forget all tables there.
func decodeBy(p *replication.BinlogParser, raw, body []byte) (*replication.BinlogEvent, error) {
	flags := binary.LittleEndian.Uint16(body[6:])
	binary.LittleEndian.PutUint16(body[6:], flags&^replication.RowsEventStmtEndFlag)
	defer binary.LittleEndian.PutUint16(body[6:], flags)
	return p.Parse(raw)
}

func (p *events) endStatement() {
	p.statement++
	if p.held > maxMaps {
		_, _ = p.renew() // it was parsed before
	}
}

func isRows(kind replication.EventType) bool {
	switch kind {
	case replication.WRITE_ROWS_EVENTv0, replication.UPDATE_ROWS_EVENTv0, replication.DELETE_ROWS_EVENTv0,
		replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2,
		replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1,
		replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1, replication.PARTIAL_UPDATE_ROWS_EVENT:
		return true
	}
	return false
}

// isDummy: the table ID of an event that only ends a statement.
func isDummy(id uint64) bool { return id == 0xffffff || id == 0xffffffff || id == 0xffffffffffff }
