package checkpoint

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

func at(n uint64) GTID { return GTID{Flavor: MariaDB, Domain: 1, Server: 2, N: n} }

func prepare(n uint64, xid string, rows int) *Transaction {
	return &Transaction{GTID: at(n), Prepared: &XA{XID: xid, GTID: at(n), Since: time.Unix(int64(n), 0).UTC(), Rows: rows, Before: at(n - 1)}}
}

func names(p Position) (s string) {
	for _, x := range p.XA {
		s += x.XID
	}
	return s
}

func TestPositionKeepsUndecidedXA(t *testing.T) {
	var p Position
	message := []binjet.Message{{ID: "m"}}
	for _, step := range []struct {
		tx   *Transaction
		want string
	}{
		{prepare(2, "a", 3), "a"},
		{prepare(3, "b", 0), "ab"},
		{&Transaction{GTID: at(4), Messages: message}, "ab"},
		{&Transaction{GTID: at(5), Decided: "unknown"}, "ab"},
		{&Transaction{GTID: at(6), Decided: "a", Messages: message, More: true}, "ab"},
		{&Transaction{GTID: at(6), Decided: "a", Messages: message, Offset: 1, Hash: 7}, "b"},
		{prepare(7, "c", 1), "bc"},
		{prepare(8, "b", 1), "cb"},
		{&Transaction{GTID: at(9), Decided: "c"}, "b"},
		{&Transaction{GTID: at(10), Decided: "b"}, ""},
	} {
		before := p.Clone()
		was := names(before)
		p.Apply(step.tx)
		if names(p) != step.want {
			t.Fatalf("after %s: %q, want %q", step.tx.GTID, names(p), step.want)
		}
		if names(before) != was {
			t.Fatal("Apply changes a clone")
		}
	}
	if p.XA != nil || !p.Resume.Contains(at(10)) {
		t.Errorf("%+v", p)
	}
	if p.Last.GTID != at(6) || p.Last.Rows != 0 || p.Last.Hash != 0 {
		t.Errorf("the group of an XA COMMIT has no rows of its own: %+v", p.Last)
	}
}

func TestUndecidedXAIsEncoded(t *testing.T) {
	var p, back Position
	p.Apply(prepare(2, "X'61',X'',1", 3))
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if x, ok := back.Undecided("X'61',X'',1"); !ok || x != p.XA[0] {
		t.Errorf("%s → %+v", data, x)
	}
	if _, ok := back.Undecided("b"); ok {
		t.Error("an unknown one is found")
	}
}

func TestUndecidedXAIsBounded(t *testing.T) {
	var p Position
	n := uint64(1)
	for i := range 300 {
		n += 2
		p.Apply(prepare(n, fmt.Sprint("harmless", i), 0))
		p.Apply(prepare(n+1, fmt.Sprint("rows", i), 1))
	}
	if _, ok := p.Undecided("rows0"); !ok || len(p.XA) != 400 {
		t.Errorf("%d are kept", len(p.XA))
	}
	for i := range 300 {
		n += 2
		p.Apply(prepare(n, fmt.Sprint("more", i), 1))
	}
	if _, ok := p.Undecided("more299"); !ok || len(p.XA) != maxXA {
		t.Errorf("%d are kept", len(p.XA))
	}
}
