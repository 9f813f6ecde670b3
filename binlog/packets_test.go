package binlog

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// sent is a connection on which a server has sent packets, whose first has a sequence number.
func sent(first uint8, bodies ...[]byte) io.Reader {
	var b bytes.Buffer
	for _, body := range bodies {
		for {
			n := min(len(body), mysql.MaxPayloadLen)
			b.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), first})
			b.Write(body[:n])
			first++
			body = body[n:]
			if n < mysql.MaxPayloadLen {
				break
			}
		}
	}
	return &b
}

func inPackets(events [][]byte) (bodies [][]byte) {
	for _, raw := range events {
		bodies = append(bodies, append([]byte{mysql.OK_HEADER}, raw...))
	}
	return bodies
}

// TestPacketsOfLogs: what becomes of the events of real logs is the same as when none of
// their bytes is used again, to the last message.
func TestPacketsOfLogs(t *testing.T) {
	for _, file := range logs(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			events := logged(t, file)
			parse := func() func([]byte, func(*replication.BinlogEvent) error) error {
				p := newParser(flavorOfFile(file), shop(), false)
				t.Cleanup(p.close)
				return p.parse
			}
			want, err := groupsOf(parse(), inTurn(events...))
			if err != nil {
				t.Fatal(err)
			}
			own := 0
			got, err := groupsOf(parse(), func(yield func([]byte, error) bool) {
				p := newPackets(sent(1, inPackets(events)...), 1)
				for raw, err := p.event(); !errors.Is(err, io.EOF) && yield(raw, err); raw, err = p.event() {
					room, _ := p.r.Peek(p.read)
					if len(room) == 0 || &raw[0] != &room[1] {
						own++
					}
					for i := range room {
						room[i] = 0xa5
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) || len(want) < 5 {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if own == 0 || own > len(events)*3/4 {
				t.Errorf("%d of %d events have memory of their own", own, len(events))
			}
		})
	}
}

// TestPacketsOfOneEvent: an event may have more than one, and the last of them nothing.
func TestPacketsOfOneEvent(t *testing.T) {
	for _, size := range []int{replication.EventHeaderSize, ahead - 1, ahead, mysql.MaxPayloadLen - 2, mysql.MaxPayloadLen - 1, mysql.MaxPayloadLen, 2*mysql.MaxPayloadLen - 1} {
		for _, kind := range []replication.EventType{replication.QUERY_EVENT, replication.WRITE_ROWS_EVENTv2} {
			raw := make([]byte, size)
			raw[4], raw[size-1] = byte(kind), 7
			p := newPackets(sent(255, inPackets([][]byte{raw, raw[:19]})...), 255) // then 0
			for _, want := range [][]byte{raw, raw[:19]} {
				got, err := p.event()
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s of %d bytes: %d bytes, %v", kind, size, len(got), err)
				}
			}
		}
	}
}

// TestPacketsThatEnd: what is no event ends the dump, and says why.
func TestPacketsThatEnd(t *testing.T) {
	purged := append([]byte{mysql.ERR_HEADER, 0xd4, 0x04}, "#HY000could not find the next log"...)
	event := inPackets([][]byte{make([]byte, replication.EventHeaderSize)})[0]
	for name, tt := range map[string]struct {
		from io.Reader
		want string
	}{
		"an error":       {sent(1, purged), "could not find the next log"},
		"the end":        {sent(1, []byte{mysql.EOF_HEADER, 0, 0, 2, 0}), "the server ended the dump"},
		"another packet": {sent(1, []byte{3, 4}), "a packet of 2 bytes that begins with 0x3"},
		"half an event":  {sent(1, event[:10]), "a packet of 10 bytes that begins with 0x0"},
		"half an error":  {sent(1, purged[:5]), "a packet of 5 bytes that begins with 0xff"},
		"nothing":        {sent(1, nil), "an empty packet"},
		"out of turn":    {sent(2, event), "packet 2 came where 1 was due"},
		"no connection":  {strings.NewReader(""), "EOF"},
		"half a packet":  {io.LimitReader(sent(1, event), 12), "unexpected EOF"},
		"half a header":  {io.LimitReader(sent(1, event), 3), "unexpected EOF"},
		"half a row":     {io.LimitReader(sent(1, make([]byte, mysql.MaxPayloadLen+5)), int64(mysql.MaxPayloadLen)+10), "unexpected EOF"},
	} {
		_, err := newPackets(tt.from, 1).event()
		if err != nil {
			err = (&session{Conn: &client.Conn{}}).ended(err)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if code := serverCode(err); (name == "an error") != (code == mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG) {
			t.Errorf("%s has the code %d", name, code)
		}
	}
}

// TestPacketsMakeNoGarbage: of the five events of a small transaction none.
func TestPacketsMakeNoGarbage(t *testing.T) {
	bodies := inPackets(transaction(t, "outbox"))
	all, err := io.ReadAll(sent(1, slices.Repeat(bodies, 200)...))
	if err != nil {
		t.Fatal(err)
	}
	p := newPackets(bytes.NewReader(all), 1)
	got := testing.AllocsPerRun(100, func() {
		for range bodies {
			if _, err := p.event(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got > 0 {
		t.Errorf("%v allocations", got)
	}
}
