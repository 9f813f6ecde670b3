package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
)

func xaPrepare(onePhase byte, format uint32, gtrid, bqual string) *replication.BinlogEvent {
	data := []byte{onePhase}
	data = binary.LittleEndian.AppendUint32(data, format)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(gtrid)))
	data = binary.LittleEndian.AppendUint32(data, uint32(len(bqual)))
	return generic(replication.XA_PREPARE_LOG_EVENT, append(data, gtrid+bqual...)...)
}

// xaSummary adds to summary what a group prepares or decides.
func xaSummary(g *group) string {
	s := summary(g)
	if p := g.prepared; p != nil {
		s += fmt.Sprintf(" prepares %s %d", p.xid, p.rows)
		for _, r := range p.held {
			s += " " + r.msg.ID
		}
		if p.plan != nil {
			s += " by plan"
		}
		if p.fault != nil {
			s += " faulty"
		}
	}
	switch {
	case g.commits:
		s += " commits " + g.decided
	case g.decided != "":
		s += " rolls back " + g.decided
	}
	return s
}

func TestAssemblerXA(t *testing.T) {
	type events []*replication.BinlogEvent
	start, end := query("XA START X'61',X'',1"), query("XA END X'61',X'',1")
	prepare := xaPrepare(0, 1, "a", "")
	tests := map[string]struct {
		in   events
		want []string
	}{
		"prepared and committed": {events{gtid(1), start, insert("r", "s"), end, prepare, gtid(2), query("XA COMMIT X'61',X'',1")},
			[]string{"1 prepares X'61',X'',1 2 r s", "2 commits X'61',X'',1"}},
		"rolled back": {events{gtid(1), start, insert("r"), end, prepare, gtid(2), query("XA ROLLBACK X'61',X'',1")},
			[]string{"1 prepares X'61',X'',1 1 r", "2 rolls back X'61',X'',1"}},
		"elsewhere": {events{gtid(1), start, insertElsewhere(), end, prepare}, []string{"1 prepares X'61',X'',1 0"}},
		"savepoint": {events{gtid(1), start, insert("r"), query("SAVEPOINT x"), insert("s"), query("ROLLBACK TO x"), end, prepare},
			[]string{"1 prepares X'61',X'',1 1 r"}},
		"one phase": {events{gtid(1), start, insert("r"), end, xaPrepare(1, 1, "a", "")}, []string{"1 r"}},
		"named by the event": {events{mariaGTID(1, 64), insert("r"), query("XA END X'AB'"), xaPrepare(0, 7, "\xab\xcd", "e")},
			[]string{"1 prepares X'ABCD',X'65',7 1 r"}},
		"named by the statement": {events{gtid(1), start, end, generic(replication.XA_PREPARE_LOG_EVENT, 0)}, []string{"1 prepares X'61',X'',1 0"}},
		"forms of an XID":        {events{gtid(1), query("xa commit 'a'"), gtid(2), query("XA ROLLBACK 0x61 , '' , 1")}, []string{"1 commits X'61',X'',1", "2 rolls back X'61',X'',1"}},
		"update":                 {events{gtid(1), start, insert("r"), update(), end, prepare}, []string{"1 prepares X'61',X'',1 2 faulty"}},
		"two":                    {events{gtid(1), start, insert("r"), end, prepare, gtid(2), query("BEGIN"), insert("s"), xid()}, []string{"1 prepares X'61',X'',1 1 r", "2 s"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newTestAssembler(t)
			var got []string
			for i, ev := range tt.in {
				g, err := a.add(ev)
				if err != nil {
					t.Fatalf("event %d: %v", i, err)
				}
				if g != nil {
					got = append(got, xaSummary(g))
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// A prepared group that is too large comes by plan, and what can't be published
// of one is an error only when it is read for its commit.
func TestAssemblerXAReadAgain(t *testing.T) {
	in := []*replication.BinlogEvent{gtid(1), query("XA START X'61',X'',1"), insert("a"), query("SAVEPOINT s"), insert("b"),
		query("ROLLBACK TO s"), insert("c"), query("XA END X'61',X'',1"), xaPrepare(0, 1, "a", "")}
	a := newTestAssembler(t)
	a.limit = 0
	g := last(t, a, in)
	if got := xaSummary(g); got != "1 prepares X'61',X'',1 2 by plan" {
		t.Fatal(got)
	}
	b := newTestAssembler(t)
	var got []string
	b.second = g.prepared.plan
	b.part = func(m binjet.Message, _ *RowError, _ time.Time) error { got = append(got, m.ID); return nil }
	if g := last(t, b, in); !g.planned || g.rows != 2 || !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("%+v, rows %v", g, got)
	}
	bad := slices.Insert(slices.Clone(in), 3, update())
	if g := last(t, newTestAssembler(t), bad); !errors.Is(g.prepared.fault, ErrUpdate) {
		t.Errorf("fault %v", g.prepared.fault)
	}
}

func TestParkingIsBounded(t *testing.T) {
	var k parking
	park := func(xid string, bytes int) {
		k.settle(&group{prepared: &prepared{xid: xid, rows: 1, bytes: bytes}}, 100)
	}
	held := func() string {
		var list []string
		for xid := range k.by {
			list = append(list, xid)
		}
		slices.Sort(list)
		return fmt.Sprint(strings.Join(list, " "), " ", k.bytes)
	}
	park("a", 60)
	park("b", 50)
	park("c", 40)
	if held() != "a c 100" {
		t.Error(held())
	}
	k.settle(&group{decided: "a"}, 100)
	park("b", 50)
	park("c", 10) // the name is used anew
	if held() != "b c 60" {
		t.Error(held())
	}
}

// FuzzParseXID: an XID that is understood is its own normal form.
func FuzzParseXID(f *testing.F) {
	for _, s := range []string{"X'61',X'',1", "'a'", "0x61, 'b', -1", "", ",,", `'a\'',X'`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := parseXID(text)
		if again := parseXID(once); again != once {
			t.Fatalf("%q → %q → %q", text, once, again)
		}
	})
}
