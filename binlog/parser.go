package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"
)

// parser turns the bytes of events into events. go-mysql's own would inflate and
// decode all of a compressed transaction at once.
type parser struct {
	events *events
	inner  *events // for what is inside a compressed transaction
	zstd   *zstd.Decoder
}

// newParser returns a parser that decodes the rows of wanted tables only.
func newParser(flavor string, tables *tableSet, deletes bool) *parser {
	full := func() *replication.BinlogParser { return newEventParser(flavor, tables, deletes) }
	return &parser{events: newEvents(tables, full), inner: newEvents(tables, full)}
}

func newEventParser(flavor string, tables *tableSet, deletes bool) *replication.BinlogParser {
	p := replication.NewBinlogParser()
	p.SetFlavor(flavor)
	p.SetParseTime(true)
	p.SetTimestampStringLocation(time.UTC)
	p.SetRenderJSONAsMySQLText(true)
	p.SetRowsEventDecodeFunc(func(e *replication.RowsEvent, data []byte) error {
		return decodeRows(e, data, tables, deletes)
	})
	return p
}

func decodeRows(e *replication.RowsEvent, data []byte, tables *tableSet, deletes bool) error {
	at, err := e.DecodeHeader(data)
	if err != nil {
		if e.Table == nil && isDummy(e.TableID) {
			return nil
		}
		return err
	}
	if !tables.has(e.Table.Schema, e.Table.Table) {
		return nil
	}
	if e.Type() == replication.EnumRowsEventTypeDelete && !deletes {
		return nil
	}
	if err := sound(e); err != nil {
		return err
	}
	return e.DecodeData(at, data)
}

// sound refuses rows that go-mysql would read for ever, since none of them has a byte,
// and those that are not of the table that they name.
func sound(e *replication.RowsEvent) error {
	if e.ColumnCount != e.Table.ColumnCount {
		return fmt.Errorf("rows of %d columns for a table of %d", e.ColumnCount, e.Table.ColumnCount)
	}
	for i := range int(e.ColumnCount) {
		if e.ColumnBitmap1[i/8]&(1<<(i%8)) != 0 {
			return nil
		}
	}
	return errors.New("rows without columns")
}

// parse hands the event in raw to each, or the events inside it when it is a
// compressed transaction, but for those that nobody needs: see [events.parse].
func (p *parser) parse(raw []byte, each func(*replication.BinlogEvent) error) error {
	if len(raw) > 4 && replication.EventType(raw[4]) == replication.TRANSACTION_PAYLOAD_EVENT {
		return p.inflate(raw, each)
	}
	ev, err := p.events.parse(raw)
	if err != nil {
		return unparsable(err)
	}
	if ev == nil {
		return nil
	}
	if ev.Header.EventType == replication.FORMAT_DESCRIPTION_EVENT {
		if _, err := p.inner.parse(withoutChecksum(raw)); err != nil {
			return unparsable(err)
		}
	}
	return each(ev)
}

func unparsable(err error) error {
	return halt(err, "Read the event with mysqlbinlog; if it is sound, report this", "an event of the binlog can't be parsed")
}

// withoutChecksum is a FORMAT_DESCRIPTION event that says of the events behind it
// that they bear no checksum, as those inside a compressed transaction do. The
// algorithm stands before the event's own checksum.
func withoutChecksum(raw []byte) []byte {
	raw = bytes.Clone(raw)
	if at := len(raw) - replication.BinlogChecksumLength - 1; at > replication.EventHeaderSize {
		raw[at] = byte(replication.BINLOG_CHECKSUM_ALG_OFF)
	}
	return raw
}

// inflate reads the events of a TRANSACTION_PAYLOAD one by one.
func (p *parser) inflate(raw []byte, each func(*replication.BinlogEvent) error) error {
	payload, err := p.payload(raw)
	if err != nil {
		return halt(err, "Turn binlog_transaction_compression off, or report this", "a compressed transaction can't be read")
	}
	for {
		raw, err := nextEvent(payload)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return halt(err, "Turn binlog_transaction_compression off, or report this", "a compressed transaction can't be read")
		}
		ev, err := p.inner.parse(raw)
		if err != nil {
			return unparsable(err)
		}
		if ev == nil {
			continue
		}
		if err := each(ev); err != nil {
			return err
		}
	}
}

// payload reads the fields of a TRANSACTION_PAYLOAD: type, length and value
// each, all of them length-encoded integers, up to type 0.
func (p *parser) payload(raw []byte) (io.Reader, error) {
	body, err := p.events.body(raw)
	if err != nil {
		return nil, err
	}
	compression := uint64(replication.NONE)
	for {
		kind, n, err := packed(body)
		if err != nil {
			return nil, fmt.Errorf("its header: %w", err)
		}
		if body = body[n:]; kind == replication.OTW_PAYLOAD_HEADER_END_MARK {
			break
		}
		var value []byte
		if value, body, err = field(body); err == nil && kind == replication.OTW_PAYLOAD_COMPRESSION_TYPE_FIELD && len(value) > 0 {
			compression, _, err = packed(value)
		}
		if err != nil {
			return nil, fmt.Errorf("its header: %w", err)
		}
	}
	switch compression {
	case replication.NONE:
		return bytes.NewReader(body), nil
	case replication.ZSTD:
		return p.inflater(body)
	}
	return nil, fmt.Errorf("unknown compression type %d", compression)
}

// inflater returns the one decoder, which works in the caller's goroutine.
func (p *parser) inflater(body []byte) (io.Reader, error) {
	if p.zstd != nil {
		return p.zstd, p.zstd.Reset(bytes.NewReader(body))
	}
	d, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	p.zstd = d
	return d, err
}

func (p *parser) close() {
	if p.zstd != nil {
		p.zstd.Close()
	}
}

// maxEvent is what a row event may have at most: MySQL's own limit for a packet.
const maxEvent = 1<<30 + 1<<16

// nextEvent reads one event; io.EOF when there is none left.
func nextEvent(r io.Reader) ([]byte, error) {
	var header [replication.EventHeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(header[9:])
	if size < replication.EventHeaderSize {
		return nil, fmt.Errorf("an event of %d bytes is less than its header", size)
	}
	if size > maxEvent {
		return nil, fmt.Errorf("an event of %d bytes is more than a server can log", size)
	}
	raw := make([]byte, size)
	copy(raw, header[:])
	if _, err := io.ReadFull(r, raw[len(header):]); err != nil {
		return nil, fmt.Errorf("an event is cut short: %w", err)
	}
	return raw, nil
}
