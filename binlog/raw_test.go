package binlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// Events as MySQL 9.7.4 and MariaDB 11.8.9 sent them, with their checksums.
const (
	rawFormat = "1860046b0f010000007b0000007f00000000000400392e372e342d32000000000000000000000000000000000000000000000000000000000000" +
		"000000000000000000000000001860046b13000d0008000000000400040000006300041a08000000000000020000000a0a0a2a2a001234000a28" +
		"0000012daeaacc"
	rawGTID = "1860046b21010000004d000000da060000000001337abfa2e75511f18a8f02fc0000000106000000000000000205000000000000000600000000" +
		"00000071075283f36006a450620100e9488d5b"
	rawIncident = "1860046b1a01000000570000003107000000010100394e6f6e2d7472616e73616374696f6e616c206368616e6765732077657265206e6f742077" +
		"72697474656e20746f207468652062696e6c6f672e4379b15cf6a85a74"
	rawRows = "1860046b1e01000000550000008605000000006a00000000001100020001ff000000000000010000000002000000000300000000040000000005" +
		"0000000006000000000700000000080000000009000000283e3a90"
	rawMariaFormat = "1960046b0f01000000fc000000000100000000040031312e382e392d4d6172696144422d302b646562313375312066726f6d2044656269616e2d" +
		"6c6f67000000000000000000001960046b13380d000800120004040404120000e400041a08000000080808020000000a0a0a0000000000000a0a" +
		"0a000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"00000000041304000d0808080a0a0a01dc19e996"
	rawMariaIncident = "1b60046b1a01000000390000009d060000000001001f6572726f722077726974696e6720746f207468652062696e617279206c6f67377a3a9f"
)

func rawEvent(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// retyped is an event with another type and flags, and its checksum made anew.
func retyped(raw []byte, kind replication.EventType, flags uint16) []byte {
	raw[4] = byte(kind)
	binary.LittleEndian.PutUint16(raw[17:], flags)
	return sealed(raw)
}

func sealed(raw []byte) []byte {
	end := len(raw) - replication.BinlogChecksumLength
	binary.LittleEndian.PutUint32(raw[end:], crc32.ChecksumIEEE(raw[:end]))
	return raw
}

// wrapped is the event inside a TRANSACTION_PAYLOAD that is not compressed.
func wrapped(raw []byte) []byte {
	inner := raw[:len(raw)-replication.BinlogChecksumLength]
	binary.LittleEndian.PutUint32(inner[9:], uint32(len(inner)))
	out := append([]byte{}, raw[:replication.EventHeaderSize]...)
	out[4] = byte(replication.TRANSACTION_PAYLOAD_EVENT)
	out = append(out, 2, 3, 0xfc, 0xff, 0, 0) // compression: none; end of the fields
	out = append(append(out, inner...), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[9:], uint32(len(out)))
	return sealed(out)
}

// TestRawEvents: events that can't be understood halt, as bytes of a real server.
func TestRawEvents(t *testing.T) {
	flipped := rawEvent(t, rawGTID)
	flipped[30] ^= 1
	for name, tt := range map[string]struct {
		flavor checkpoint.Flavor
		events [][]byte
		want   string // "" is no halt
	}{
		"incident":                      {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID), rawEvent(t, rawIncident)}, "(transaction 337abfa2-e755-11f1-8a8f-02fc00000001:6)"},
		"incident in MariaDB":           {checkpoint.MariaDB, [][]byte{rawEvent(t, rawMariaIncident)}, "incident"},
		"rows of a new kind":            {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID), retyped(rawEvent(t, rawRows), 45, 0)}, "unknown event type 45 in the binlog (transaction "},
		"rows of a new kind in MariaDB": {checkpoint.MariaDB, [][]byte{retyped(rawEvent(t, rawRows), 172, 0)}, "unknown event type 172"},
		"a new kind, compressed":        {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID), wrapped(retyped(rawEvent(t, rawRows), 45, 0))}, "unknown event type 45"},
		"a new kind to be ignored": {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID),
			retyped(rawEvent(t, rawRows), 45, replication.LOG_EVENT_IGNORABLE_F)}, ""},
		"a changed byte":           {checkpoint.MySQL, [][]byte{flipped}, "can't be parsed"},
		"the end of a statement":   {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID), framed(replication.WRITE_ROWS_EVENTv2, unhex(t, "ffffff000000010002000100"))}, ""},
		"rows of an unknown table": {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID), rawEvent(t, rawRows)}, "no TABLE_MAP for table ID 106"},
		"a changed byte, compressed": {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID),
			append(wrapped(rawEvent(t, rawRows))[:60], wrapped(rawEvent(t, rawRows))[61:]...)}, "compressed transaction can't be read"},
		"cut short": {checkpoint.MySQL, [][]byte{rawEvent(t, rawGTID)[:40]}, "can't be parsed"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAssembler(t)
			p := newParser(flavorName(tt.flavor), a.tables, false)
			defer p.close()
			format := rawFormat
			if tt.flavor == checkpoint.MariaDB {
				format = rawMariaFormat
			}
			var err error
			for _, raw := range append([][]byte{rawEvent(t, format)}, tt.events...) {
				if err != nil {
					t.Fatalf("before the last event: %v", err)
				}
				err = p.parse(raw, func(ev *replication.BinlogEvent) error {
					g, err := a.add(ev)
					if g != nil {
						t.Errorf("got group %s", summary(g))
					}
					return err
				})
			}
			var h *checkpoint.HaltError
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!errors.As(err, &h) || h.Hint == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want a halt for %q", err, tt.want)
			}
		})
	}
}
