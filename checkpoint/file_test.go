package checkpoint

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

func TestFilePosition(t *testing.T) {
	for _, s := range []string{"binlog.000001:4", "a.b:c.1000000:8589934592"} {
		p, err := ParseFilePosition(s)
		if err != nil || p.String() != s {
			t.Errorf("%s is read as %s, %v", s, p, err)
		}
	}
	for _, s := range []string{"", "binlog.000001", "binlog:4", ".000001:4", "binlog.x:4", "binlog.000001:-4", "binlog.000001:", u + ":5", "0-1-2"} {
		if p, err := ParseFilePosition(s); err == nil {
			t.Errorf("%q is read as %+v", s, p)
		}
	}
	order := []FilePosition{{File: "b.000009", Offset: 9}, {File: "b.000010", Offset: 4}, {File: "b.999999", Offset: 4}, {File: "b.1000000", Offset: 4},
		{File: "b.1000000", Offset: 1 << 32}, {File: "b.1000000", Offset: 1<<32 + 1}}
	for i, p := range order {
		for j, q := range order {
			if p.Before(q) != (i < j) {
				t.Errorf("%s before %s: %v", p, q, p.Before(q))
			}
		}
	}
	if (FilePosition{File: "a.000001"}).Before(FilePosition{File: "b.000002"}) {
		t.Error("files of two logs are in an order")
	}
}

// A transaction without a GTID is named by its place, which is in no set.
func TestFileNames(t *testing.T) {
	g := gtid(t, "binlog.000003:4294967300")
	if g.File != "binlog.000003" || g.N != 1<<32+4 || g.Flavor != MySQL {
		t.Fatalf("%+v", g)
	}
	data, err := json.Marshal(g)
	var back GTID
	if err != nil || json.Unmarshal(data, &back) != nil || back != g {
		t.Errorf("%s is read as %+v, %v", data, back, err)
	}
	s := gtids(t, u+":1-3")
	s.Add(g)
	if s.String() != u+":1-3" || s.Contains(g) {
		t.Errorf("%s", s)
	}
	if _, err := ParseGTIDSet(g.String()); err == nil {
		t.Error("it is taken for a set of GTIDs")
	}
}

// A file position moves with whole transactions, survives the record, and no older
// version takes it for no position.
func TestPositionInFiles(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	in := func(offset uint64) FilePosition {
		return FilePosition{File: "binlog.000003", Offset: offset, Created: created}
	}
	p := Position{Flavor: MySQL, ServerUUID: u, Binlog: in(157)}
	if p.Form() != 2 || p.Where() != "binlog.000003:157" {
		t.Errorf("form %d, %s", p.Form(), p.Where())
	}
	first := gtid(t, "binlog.000003:157")
	p.Apply(&Transaction{GTID: first, Binlog: in(400), Messages: make([]binjet.Message, 2), More: true})
	if p.Binlog != in(157) || p.Has(first) || p.Partial == nil {
		t.Errorf("in the middle of one: %+v", p)
	}
	p.Apply(&Transaction{GTID: first, Binlog: in(400), Messages: make([]binjet.Message, 1), Offset: 2})
	if p.Binlog != in(400) || !p.Has(first) || p.Has(gtid(t, "binlog.000003:400")) || p.Last.GTID != first {
		t.Errorf("behind one: %+v", p)
	}
	p.Skip(GTIDSet{}, &Transaction{GTID: gtid(t, "binlog.000003:400"), Binlog: in(500)})
	next := FilePosition{File: "binlog.000004", Offset: 4, Created: created.Add(time.Hour)}
	p.Apply(&Transaction{Binlog: next})
	if p.Binlog != next || p.Read.GTID.N != 400 || p.Last.GTID != first || !p.Resume.IsEmpty() {
		t.Errorf("in the next file: %+v", p)
	}
	c := Checkpoint{Source: "shop", Epoch: 1, Nonce: "n", Position: p}
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil || got.V != 2 || !reflect.DeepEqual(got.Position, p) {
		t.Fatalf("%s\n→ %+v, %v", data, got, err)
	}

	gtids := Position{Flavor: MySQL, ServerUUID: u, Resume: gtids(t, u+":1-3"), Last: &Last{GTID: gtid(t, u+":3")}}
	p.Apply(&Transaction{Restated: &gtids, ServerUUID: u})
	if !reflect.DeepEqual(p, gtids) || p.Form() != 1 || p.Where() != u+":1-3" {
		t.Errorf("in other words: %+v", p)
	}
	for name, held := range map[string]Position{"partial": {Partial: &Partial{GTID: first}}, "last": {Last: &Last{GTID: first}},
		"read": {Read: &Last{GTID: first}}, "xa": {XA: []XA{{GTID: first}}}} {
		if held.Form() != 2 {
			t.Errorf("%s: form %d", name, held.Form())
		}
	}
}

func FuzzFilePosition(f *testing.F) {
	for _, s := range []string{"binlog.000001:4", "mysql-bin.999999:18446744073709551615", "a.1:", ":4", "a:b.000002:7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseFilePosition(text)
		if err != nil {
			return
		}
		again, err := ParseFilePosition(p.String())
		if err != nil || again != p {
			t.Fatalf("%q → %v → %v, %v", text, p, again, err)
		}
		if p.Before(again) || p.IsZero() {
			t.Fatalf("%q is %v", text, p)
		}
	})
}
