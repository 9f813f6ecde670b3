package binlog

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// firstOffset is that of the first event of a file.
const firstOffset = 4

// cursor says where in the binlog files of MySQL one dump has come to. It counts
// in 64 bits, by the sizes of the events: their own positions have 32, as has the
// position that a dump can be asked for. So what lies behind 4 GiB is reached from
// the start of its file, and what comes before it is passed over unread.
type cursor struct {
	from  checkpoint.FilePosition // where the dump shall begin
	pos   checkpoint.FilePosition // behind the last event
	start uint64                  // of the last event
	moved bool                    // an event of the log has come
	crc   bool                    // events end with a checksum
}

func newCursor(from checkpoint.FilePosition) *cursor { return &cursor{from: from} }

// request is the position to ask the server for.
func (c *cursor) request() request {
	if c.from.Offset > math.MaxUint32 {
		return request{file: c.from.File, offset: firstOffset}
	}
	return request{file: c.from.File, offset: uint32(c.from.Offset)}
}

// name is what a transaction is called whose group begins with the last event.
func (c *cursor) name() checkpoint.GTID {
	return checkpoint.GTID{Flavor: checkpoint.MySQL, File: c.pos.File, N: c.start}
}

// move takes the next event, of which it reads the header, and says whether it is
// to be looked at: behind from, or needed to understand what is.
func (c *cursor) move(raw []byte) (wanted bool, err error) {
	if len(raw) < replication.EventHeaderSize {
		return false, halt(nil, "Report this", "an event of %d bytes is less than its header", len(raw))
	}
	size, low := uint64(binary.LittleEndian.Uint32(raw[9:])), binary.LittleEndian.Uint32(raw[13:])
	artificial := binary.LittleEndian.Uint16(raw[17:])&replication.LOG_EVENT_ARTIFICIAL_F != 0
	kind := replication.EventType(raw[4])
	switch kind {
	case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		return true, nil // in no file
	case replication.ROTATE_EVENT:
		if artificial {
			return true, c.enter(raw)
		}
	case replication.FORMAT_DESCRIPTION_EVENT:
		c.pos.Created = time.Unix(int64(binary.LittleEndian.Uint32(raw)), 0).UTC()
		c.crc = len(raw) > 5 && raw[len(raw)-5] == byte(replication.BINLOG_CHECKSUM_ALG_CRC32)
		if c.pos.Offset != firstOffset {
			return true, nil // sent for what follows, from the start of the file
		}
	}
	next := c.pos.Offset + size
	switch {
	case uint32(next) == low:
	case !c.moved:
		return false, halt(ErrForeign, hintLostFiles, "no event of the binlog begins at the position %s", c.pos)
	default:
		return false, halt(nil, "Report this with the output of mysqlbinlog for that file",
			"the event at %s has %d bytes and says that the next one is at %d (in 32 bits): the server left something out", c.pos, size, low)
	}
	begins := c.pos
	c.start, c.pos.Offset, c.moved = c.pos.Offset, next, true
	if kind == replication.FORMAT_DESCRIPTION_EVENT || c.pos.File != c.from.File || next > c.from.Offset {
		if begins.Before(c.from) && next > c.from.Offset {
			return false, halt(ErrForeign, hintForeign, "position %s is in the middle of an event, which begins at %s", c.from, begins)
		}
		return true, nil
	}
	return false, nil
}

// enter begins a file: the first one, or the next.
func (c *cursor) enter(raw []byte) error {
	body := raw[replication.EventHeaderSize:]
	if c.crc && len(body) >= replication.BinlogChecksumLength {
		body = body[:len(body)-replication.BinlogChecksumLength]
	}
	if len(body) < 8 {
		return halt(nil, "Report this", "a ROTATE event is cut short")
	}
	next := checkpoint.FilePosition{File: string(body[8:]), Offset: binary.LittleEndian.Uint64(body)}
	switch {
	case c.pos.IsZero() && next.File != c.from.File:
		return halt(nil, "Report this", "the server was asked for %s and sends %s", c.from, next)
	case c.pos.File == c.from.File && c.pos.Before(c.from):
		return halt(ErrForeign, hintForeign, "position %s is behind the end of its file at %s", c.from, c.pos)
	}
	c.pos = next
	return nil
}

// following passes on what is to be looked at.
func (c *cursor) following(handle func(raw []byte) error) func(raw []byte) error {
	return func(raw []byte) error {
		wanted, err := c.move(raw)
		if err != nil || !wanted {
			return err
		}
		return handle(raw)
	}
}
