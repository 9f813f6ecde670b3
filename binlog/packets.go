package binlog

import (
	"bufio"
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
// pieces of garbage of each event, of which a small transaction has five.
type packets struct {
	r        *bufio.Reader
	sequence uint8
	header   [4]byte
	room     []byte // of events that nobody keeps a part of
}

// ahead is how much is read at once, in bytes.
const ahead = 64 << 10

func newPackets(c io.Reader, sequence uint8) *packets {
	return &packets{r: bufio.NewReaderSize(c, ahead), sequence: sequence, room: make([]byte, ahead)}
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
		return nil, &errorPacket{packet}
	case packet[0] == mysql.EOF_HEADER:
		return nil, errEnded
	}
	return nil, fmt.Errorf("a packet of %d bytes that begins with %#x is none of a dump", len(packet), packet[0])
}

func (p *packets) next() (packet []byte, err error) {
	size, err := p.begin()
	if err != nil {
		return nil, err
	}
	if packet, err = p.place(size); err != nil {
		return nil, err
	}
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
	if _, err := io.ReadFull(p.r, p.header[:]); err != nil {
		return 0, err
	}
	if p.header[3] != p.sequence {
		return 0, fmt.Errorf("packet %d came where %d was due", p.header[3], p.sequence)
	}
	p.sequence++
	return int(mysql.FixedLengthInt(p.header[:3])), nil
}

// largeRows is from how many bytes on an event of rows has memory of its own, since a payload
// may be most of it.
const largeRows = 2 << 10

// place is where a packet is read to: memory of its own, but for the events that most
// of a log consists of and that are done with when they were decoded.
func (p *packets) place(size int) ([]byte, error) {
	const upToKind = 1 + 4 + 1 // a zero, the time, the kind
	if size < upToKind || size > len(p.room) {
		return make([]byte, size), nil
	}
	head, err := p.r.Peek(upToKind)
	if err != nil {
		return nil, err
	}
	kind := replication.EventType(head[upToKind-1])
	switch kind {
	case replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT, replication.MARIADB_GTID_EVENT, replication.QUERY_EVENT,
		replication.TABLE_MAP_EVENT, replication.XID_EVENT, replication.MARIADB_ANNOTATE_ROWS_EVENT,
		replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		return p.room[:size:size], nil // go-mysql reads a broken event beyond its end
	}
	if isRows(kind) && size < largeRows {
		return p.room[:size:size], nil
	}
	return make([]byte, size), nil
}
