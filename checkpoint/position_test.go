package checkpoint

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

func gtid(t *testing.T, s string) GTID {
	t.Helper()
	g, err := ParseGTID(s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func gtids(t *testing.T, s string) GTIDSet {
	t.Helper()
	set, err := ParseGTIDSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What was passed last is noted, with events and without; it survives the record.
func TestPositionNotesTheLast(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	p := Position{Flavor: MariaDB, Resume: gtids(t, "0-1-4")}
	p.Apply(&Transaction{GTID: gtid(t, "0-1-5"), Committed: at, Messages: make([]binjet.Message, 2), Hash: 7, Before: gtid(t, "0-1-4"), View: 9})
	if p.Read != nil || !reflect.DeepEqual(p.Last, &Last{GTID: gtid(t, "0-1-5"), Committed: at, Rows: 2, Hash: 7, Before: gtid(t, "0-1-4"), View: 9}) {
		t.Errorf("published: %+v, read: %+v", p.Last, p.Read)
	}
	p.Skip(gtids(t, "0-1-8"), &Transaction{GTID: gtid(t, "0-1-8"), Committed: at, Before: gtid(t, "0-1-7"), ServerUUID: "u"})
	if p.Last.GTID.N != 5 || p.Read == nil || p.Read.GTID.N != 8 || p.Read.Before.N != 7 || p.ServerUUID != "u" || p.Resume.String() != "0-1-8" {
		t.Errorf("skipped: %+v", p)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var q Position
	if err := json.Unmarshal(data, &q); err != nil || !reflect.DeepEqual(p, q) {
		t.Errorf("%s is read as %+v, %v", data, q, err)
	}
	p.Apply(&Transaction{GTID: gtid(t, "0-1-9"), Messages: make([]binjet.Message, 1)})
	if p.Read != nil || p.Last.GTID.N != 9 {
		t.Errorf("published again: %+v", p)
	}
}

// What moves a position leaves every copy of it where it is, and a steady flow of
// transactions makes no garbage.
func TestPositionIsCopied(t *testing.T) {
	step := func(n uint64, messages int) *Transaction {
		return &Transaction{GTID: GTID{Flavor: MariaDB, Server: 1, N: n}, Messages: make([]binjet.Message, messages), Hash: uint32(n)}
	}
	p := Position{Flavor: MariaDB}
	p.Apply(step(1, 1))
	p.Apply(step(2, 0))
	copied := p.Clone()
	before, err := json.Marshal(copied)
	if err != nil {
		t.Fatal(err)
	}
	p.Apply(step(3, 0))
	p.Skip(gtids(t, "0-1-4"), step(4, 0))
	p.Apply(step(5, 1))
	if after, err := json.Marshal(copied); err != nil || string(after) != string(before) {
		t.Errorf("%s became %s, %v", before, after, err)
	}
	next := step(6, 1)
	if n := testing.AllocsPerRun(100, func() { p.Apply(next); next.GTID.N++ }); n > 0 || p.Last.GTID.N != next.GTID.N-1 {
		t.Errorf("%v allocations, %+v", n, p.Last)
	}
}

// What is given up is moved past, and so is a transaction in the middle of it.
func TestPositionLost(t *testing.T) {
	const u = "00000000-0000-0000-0000-00000000000a"
	last := &Last{GTID: gtid(t, u+":3")}
	for partial, want := range map[string]bool{u + ":4": false, u + ":9": true} {
		p := Position{Resume: gtids(t, u+":1-3"), Last: last, Partial: &Partial{GTID: gtid(t, partial), Rows: 5}}
		p.Apply(&Transaction{Lost: gtids(t, u+":4-6")})
		if p.Resume.String() != u+":1-6" || (p.Partial != nil) != want || p.Last != last {
			t.Errorf("%s: %+v", partial, p)
		}
	}
}

func TestSetQuestions(t *testing.T) {
	const a, b = "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000b"
	s := gtids(t, a+":1-5:7:tag:1-2")
	if s.Count() != 8 || !s.HasOrigin(a) || s.HasOrigin(b) || (GTIDSet{}).Count() != 0 {
		t.Errorf("%s: %d, %v", s, s.Count(), s.HasOrigin(a))
	}
	m := gtids(t, "0-1-5,3-1-9")
	if got := m.Without(3).String(); got != "0-1-5" || m.String() != "0-1-5,3-1-9" {
		t.Errorf("without: %s, left: %s", got, m)
	}
}
