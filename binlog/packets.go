package binlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// packets reads the events that a server sends once a dump was asked for, by the packets
// of MySQL's protocol: three bytes of length, a sequence number, and the bytes. One
// that is as long as can be goes on in the next.
//
// go-mysql's syncer would do, but it copies each packet twice and makes half a dozen
// pieces of garbage of each event, of which a small transaction has five. Here, most events
// are decoded where they were read to.
type packets struct {
	r        *bufio.Reader
	sequence uint8
	read     int // bytes of the last packet that are still in r
}

// ahead is how much is read at once, in bytes.
const ahead = 64 << 10

func newPackets(c io.Reader, sequence uint8) *packets {
	return &packets{r: bufio.NewReaderSize(c, ahead), sequence: sequence}
}

// errorPacket is what a server sends in place of an event when it can't go on.
type errorPacket struct{ packet []byte }

func (*errorPacket) Error() string { return "the server sent an error" }

// errEnded: a server that shuts down, or whose dump is killed, may say so.
var errEnded = constError("the server ended the dump")

// event returns the next one. It is good until the next call; one of rows that is large,
// for ever: see [layout.kept].
func (p *packets) event() ([]byte, error) {
	packet, err := p.next()
	switch {
	case err != nil:
		return nil, err
	case len(packet) == 0:
		return nil, errors.New("an empty packet")
	case packet[0] == mysql.OK_HEADER && len(packet) > replication.EventHeaderSize:
		return packet[1:], nil
	case packet[0] == mysql.ERR_HEADER && len(packet) > len("#HY000")+3:
		return nil, &errorPacket{bytes.Clone(packet)}
	case packet[0] == mysql.EOF_HEADER:
		return nil, errEnded
	}
	return nil, fmt.Errorf("a packet of %d bytes that begins with %#x is none of a dump", len(packet), packet[0])
}

func (p *packets) next() (packet []byte, err error) {
	_, _ = p.r.Discard(p.read) // which are there
	p.read = 0
	size, err := p.begin()
	if err != nil {
		return nil, err
	}
	if size <= p.r.Size() {
		return p.within(size)
	}
	packet = make([]byte, size)
	if _, err := io.ReadFull(p.r, packet); err != nil {
		return nil, err
	}
	for size == mysql.MaxPayloadLen {
		if size, err = p.begin(); err != nil {
			return nil, err
		}
		if len(packet)+size > maxEvent {
			return nil, fmt.Errorf("an event of more than %d bytes is more than a server can log", maxEvent)
		}
		at := len(packet)
		packet = append(packet, make([]byte, size)...)
		if _, err := io.ReadFull(p.r, packet[at:]); err != nil {
			return nil, err
		}
	}
	return packet, nil
}

// begin reads the header of a packet.
func (p *packets) begin() (size int, err error) {
	header, err := p.peek(4)
	if err != nil {
		return 0, err
	}
	if header[3] != p.sequence {
		return 0, fmt.Errorf("packet %d came where %d was due", header[3], p.sequence)
	}
	p.sequence++
	size = int(mysql.FixedLengthInt(header[:3]))
	_, err = p.r.Discard(len(header))
	return size, err
}

// within is a packet that fits into what is read at once. It stays there, or is copied when
// it may be kept.
func (p *packets) within(size int) ([]byte, error) {
	packet, err := p.peek(size)
	if err != nil {
		return nil, err
	}
	p.read = size
	if isKept(packet) {
		return bytes.Clone(packet), nil
	}
	return packet[:size:size], nil // go-mysql reads a broken event beyond its end
}

// peek returns the next bytes, and io.EOF only where there are none.
func (p *packets) peek(n int) ([]byte, error) {
	b, err := p.r.Peek(n)
	if len(b) > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// largeRows is from how many bytes on an event of rows has memory of its own, since a payload
// may be most of it.
const largeRows = 2 << 10

// isKept reports whether a part of a packet may be kept: not of the events that most of a log
// consists of, which are done with when they were decoded.
func isKept(packet []byte) bool {
	const kindAt = 1 + 4 // behind a zero and the time
	if len(packet) <= kindAt {
		return true
	}
	kind := replication.EventType(packet[kindAt])
	switch kind {
	case replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT, replication.MARIADB_GTID_EVENT, replication.QUERY_EVENT,
		replication.TABLE_MAP_EVENT, replication.XID_EVENT, replication.MARIADB_ANNOTATE_ROWS_EVENT,
		replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		return false
	}
	return !isRows(kind) || len(packet) >= largeRows
}
