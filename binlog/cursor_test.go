package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// tape is a binlog of several files as a server sends it: headers only, since a
// cursor reads no more.
type tape struct {
	files [][]taped
	crc   bool // of ROTATE and FORMAT_DESCRIPTION
}

type taped struct {
	kind  replication.EventType
	size  uint32
	start uint64
	id    string // of a row
}

func (e taped) end() uint64 { return e.start + uint64(e.size) }

func fileName(i int) string { return fmt.Sprintf("binlog.%06d", i+1) }

// add appends events of these sizes to the last file.
func (p *tape) add(id string, events ...any) {
	file := &p.files[len(p.files)-1]
	for i := 0; i < len(events); i += 2 {
		at := uint64(firstOffset)
		if n := len(*file); n > 0 {
			at = (*file)[n-1].end()
		}
		*file = append(*file, taped{events[i].(replication.EventType), uint32(events[i+1].(int)), at, id})
	}
}

func (p *tape) file() {
	if len(p.files) > 0 {
		p.add("", replication.ROTATE_EVENT, 44)
	}
	p.files = append(p.files, nil)
	p.add("", replication.FORMAT_DESCRIPTION_EVENT, 123, replication.PREVIOUS_GTIDS_EVENT, 31)
}

// group appends a transaction with a row event of a size.
func (p *tape) group(id string, size int) {
	p.add(id, replication.ANONYMOUS_GTID_EVENT, 79, replication.QUERY_EVENT, 75, replication.WRITE_ROWS_EVENTv2, size, replication.XID_EVENT, 31)
}

// groupTo appends a transaction that ends at an offset of the file.
func (p *tape) groupTo(id string, end uint64) {
	file := p.files[len(p.files)-1]
	left := end - file[len(file)-1].end() - 79 - 75 - 31
	events := []any{replication.ANONYMOUS_GTID_EVENT, 79, replication.QUERY_EVENT, 75}
	for ; left > 1<<30; left -= 1 << 30 {
		events = append(events, replication.TABLE_MAP_EVENT, 1<<30)
	}
	p.add(id, append(events, replication.WRITE_ROWS_EVENTv2, int(left), replication.XID_EVENT, 31)...)
}

func (p *tape) raw(e taped, logPos uint64, flags uint16, body string) []byte {
	raw := make([]byte, replication.EventHeaderSize, 80)
	binary.LittleEndian.PutUint32(raw, 1000)
	raw[4] = byte(e.kind)
	binary.LittleEndian.PutUint32(raw[9:], e.size)
	binary.LittleEndian.PutUint32(raw[13:], uint32(logPos))
	binary.LittleEndian.PutUint16(raw[17:], flags)
	raw = append(raw, body...)
	switch {
	case e.kind == replication.FORMAT_DESCRIPTION_EVENT && p.crc:
		raw = append(raw, 1, 'c', 'r', 'c', '4')
	case e.kind == replication.FORMAT_DESCRIPTION_EVENT:
		raw = append(raw, 0, 'c', 'r', 'c', '4')
	case p.crc:
		raw = append(raw, "\xff\xfe\x00\x01"...)
	}
	return raw
}

// serve sends what lies behind a position, as COM_BINLOG_DUMP does.
func (p *tape) serve(t *testing.T, from request, each func(raw []byte, e taped) error) error {
	t.Helper()
	for i, file := range p.files {
		pos := uint64(firstOffset)
		if fileName(i) < from.file {
			continue
		} else if fileName(i) == from.file {
			pos = uint64(from.offset)
		}
		rotate := taped{kind: replication.ROTATE_EVENT}
		body := string(binary.LittleEndian.AppendUint64(nil, pos)) + fileName(i)
		raw := p.raw(rotate, 0, replication.LOG_EVENT_ARTIFICIAL_F, body)
		if fileName(i) == from.file && p.crc {
			raw = raw[:len(raw)-4] // nothing said yet that there are checksums
		}
		if err := each(raw, rotate); err != nil {
			return err
		}
		if pos > firstOffset {
			if err := each(p.raw(file[0], 0, 0, "head"), file[0]); err != nil {
				return err
			}
		}
		for _, e := range file {
			if e.start < pos {
				continue
			}
			body := "body"
			if e.kind == replication.ROTATE_EVENT {
				body = string(binary.LittleEndian.AppendUint64(nil, 4)) + fileName(i+1)
			}
			if err := each(p.raw(e, e.end(), 0, body), e); err != nil {
				return err
			}
			heartbeat := taped{kind: replication.HEARTBEAT_EVENT}
			if err := each(p.raw(heartbeat, e.end(), 0, fileName(i)), heartbeat); err != nil {
				return err
			}
		}
	}
	return nil
}

// read has an assembler read the tape from a position by way of a cursor.
func (p *tape) read(t *testing.T, from checkpoint.FilePosition) (groups []*group, err error) {
	t.Helper()
	a := newTestAssembler(t)
	a.at = newCursor(from)
	err = p.serve(t, a.at.request(), func(raw []byte, e taped) error {
		wanted, err := a.at.move(raw)
		if err != nil || !wanted {
			return err
		}
		ev := event(e.kind, &replication.GenericEvent{})
		switch e.kind {
		case replication.ANONYMOUS_GTID_EVENT:
			ev.Event = &replication.GTIDEvent{SID: make([]byte, 16)}
		case replication.QUERY_EVENT:
			ev = query("BEGIN")
		case replication.WRITE_ROWS_EVENTv2:
			ev = insert(e.id)
		case replication.XID_EVENT:
			ev = xid()
		case replication.FORMAT_DESCRIPTION_EVENT:
			ev.Event = &replication.FormatDescriptionEvent{}
		}
		g, err := a.add(ev)
		if g != nil {
			kept := *g
			groups = append(groups, &kept)
		}
		return err
	})
	return groups, err
}

// bigTape has files whose offsets wrap twice, at and around the limits.
func bigTape(crc bool) *tape {
	const wrap = 1 << 32
	p := &tape{crc: crc}
	p.file()
	p.group("a", 100)
	p.groupTo("b", wrap-1)
	p.group("c", 1)
	p.file() // a group ends at the limit, the next begins there, and again
	p.group("d", 1<<30)
	p.groupTo("e", wrap)
	p.group("f", 50)
	p.groupTo("g", 2*wrap)
	p.group("h", math.MaxInt32)
	p.groupTo("i", 3*wrap+1)
	p.group("j", 10)
	p.file()
	p.group("k", 10)
	random := rand.New(rand.NewPCG(1, 2))
	p.file()
	for i := range 40 {
		p.group(fmt.Sprint("r", i), 1+random.IntN(1<<30))
	}
	p.file()
	p.group("z", 10)
	return p
}

// TestCursor: in files of any size, each group has its place, and from behind each
// group exactly the later ones are read.
func TestCursor(t *testing.T) {
	for _, crc := range []bool{false, true} {
		p := bigTape(crc)
		all, err := p.read(t, checkpoint.FilePosition{File: fileName(0), Offset: firstOffset})
		if err != nil {
			t.Fatal(err)
		}
		var truth []string
		for i, file := range p.files {
			for j, e := range file {
				if e.kind == replication.XID_EVENT {
					for file[j].kind != replication.ANONYMOUS_GTID_EVENT {
						j--
					}
					truth = append(truth, fmt.Sprintf("%s:%d %s to %d", fileName(i), file[j].start, e.id, e.end()))
				}
			}
		}
		describe := func(list []*group) (out []string) {
			for _, g := range list {
				out = append(out, fmt.Sprintf("%s to %d", summary(g), g.end.Offset))
			}
			return out
		}
		if got := describe(all); !slices.Equal(got, truth) {
			t.Fatalf("got  %q\nwant %q", got, truth)
		}
		behind := 0
		for i, g := range all {
			if g.end.Offset > math.MaxUint32 {
				behind++
			}
			if !g.end.Created.Equal(time.Unix(1000, 0)) {
				t.Errorf("%s: its file was created at %s", g.gtid, g.end.Created)
			}
			for _, from := range []checkpoint.FilePosition{g.end, {File: g.gtid.File, Offset: g.gtid.N}} {
				rest, err := p.read(t, from)
				want := truth[i+1:]
				if from.Offset == g.gtid.N {
					want = truth[i:]
				}
				if err != nil || !slices.Equal(describe(rest), want) {
					t.Fatalf("from %s: %q, %v\nwant %q", from, describe(rest), err, want)
				}
			}
		}
		if behind < 20 {
			t.Errorf("only %d groups end behind 4 GiB", behind)
		}
	}
}

func TestCursorHalts(t *testing.T) {
	p := bigTape(true)
	second := p.files[1]
	limit := second[len(second)-1].end()
	for name, tt := range map[string]struct {
		from checkpoint.FilePosition
		is   error
	}{
		"in an event":      {checkpoint.FilePosition{File: fileName(1), Offset: 1<<32 + 1}, ErrForeign},
		"behind the file":  {checkpoint.FilePosition{File: fileName(1), Offset: limit + 1}, ErrForeign},
		"somewhere before": {checkpoint.FilePosition{File: "binlog.000000", Offset: 4}, nil},
	} {
		groups, err := p.read(t, tt.from)
		var h *checkpoint.HaltError
		if !errors.As(err, &h) || tt.is != nil && !errors.Is(err, tt.is) || len(groups) > 0 {
			t.Errorf("%s: %d groups, %v", name, len(groups), err)
		}
	}
	// What is sent first is no event at all.
	c := newCursor(checkpoint.FilePosition{File: fileName(1), Offset: 500})
	c.pos = c.from
	if _, err := c.move(p.raw(second[3], 77, 0, "")); !errors.Is(err, ErrForeign) {
		t.Errorf("no event: %v", err)
	}
	// Something is left out.
	c = newCursor(checkpoint.FilePosition{File: fileName(0), Offset: firstOffset})
	err := p.serve(t, c.request(), func(raw []byte, e taped) error {
		if e.kind == replication.QUERY_EVENT {
			return nil
		}
		_, err := c.move(raw)
		return err
	})
	var h *checkpoint.HaltError
	if !errors.As(err, &h) || !strings.Contains(err.Error(), "binlog.000001:237 has 100 bytes") {
		t.Errorf("an event is left out: %v", err)
	}
}

// FuzzCursor: whatever a server sends, it is understood or refused.
func FuzzCursor(f *testing.F) {
	p := bigTape(true)
	f.Add(p.raw(taped{kind: replication.ROTATE_EVENT}, 0, replication.LOG_EVENT_ARTIFICIAL_F, "12345678binlog.000001"))
	f.Add(p.raw(p.files[0][0], p.files[0][0].end(), 0, ""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := &cursor{from: checkpoint.FilePosition{File: "binlog.000001", Offset: 4}, crc: true}
		for range 2 {
			_, _ = c.move(raw)
		}
	})
}

func TestPreviousGTIDs(t *testing.T) {
	const a, b = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
	for _, want := range []string{"", a + ":1-5", a + ":1-5:7," + b + ":3", a + ":1-5:app:2-3," + b + ":web:1"} {
		encoded, err := mysql.ParseMysqlGTIDSet(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := previousGTIDs(encoded.(*mysql.MysqlGTIDSet).Encode())
		if err != nil || !got.Equal(set(t, want)) {
			t.Errorf("%q is read as %s, %v", want, got, err)
		}
	}
	if _, err := previousGTIDs([]byte("short")); err == nil {
		t.Error("what is cut short is read")
	}
}

func TestInFiles(t *testing.T) {
	r := &Reader{cfg: Config{Addr: "db:3306"}}
	logs := []logFile{{"binlog.000009", 500}, {"binlog.000010", 1000}}
	at := func(file string, offset uint64, xa ...checkpoint.XA) checkpoint.Position {
		return checkpoint.Position{Binlog: checkpoint.FilePosition{File: file, Offset: offset}, XA: xa}
	}
	gone := checkpoint.GTID{Flavor: checkpoint.MySQL, File: "binlog.000008", N: 4}
	for name, tt := range map[string]struct {
		p    checkpoint.Position
		want error
	}{
		"in it":             {at("binlog.000009", 400), nil},
		"at the end":        {at("binlog.000010", 1000), nil},
		"end of an old one": {at("binlog.000009", 500), nil},
		"purged":            {at("binlog.000008", 4), ErrPurged},
		"cut":               {at("binlog.000010", 1001), ErrForeign},
		"cut, and gone on":  {at("binlog.000009", 501), ErrForeign},
		"reset":             {at("binlog.000011", 4), ErrForeign},
		"another log":       {at("mysql-bin.000009", 4), ErrForeign},
		"XA is purged":      {at("binlog.000009", 4, checkpoint.XA{GTID: gone, Rows: 1}), ErrXA},
		"harmless XA":       {at("binlog.000009", 4, checkpoint.XA{GTID: gone}), nil},
	} {
		err := r.inFiles(&Server{}, logs, tt.p)
		if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
