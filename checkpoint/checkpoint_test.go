package checkpoint

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

func TestRecordRoundTrip(t *testing.T) {
	g, _ := ParseGTID(u + ":6")
	want := Checkpoint{V: 1, Source: "shop", Epoch: 3, Instance: "host:1:ab", Nonce: "n", From: 7, Count: 42, PrevSeq: 6,
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Released: true,
		Position: Position{Flavor: MySQL, ServerUUID: v, Resume: set(t, u+":1-5"), Partial: &Partial{GTID: g, Rows: 9},
			Snapshot: &Snapshot{Begun: true, Table: "shop.outbox", After: "x"},
			Last:     &Last{GTID: g, Committed: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Rows: 2, Hash: 0xfeedbeef}}}
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\n→ %+v, %v", data, got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	if _, err := Decode(fmt.Appendf(nil, `{"v":%d,"source":"shop"}`, Version+1)); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer record: %v", err)
	}
	for _, data := range []string{"", "null", "{}", "[]", `{"v":1}`, `{"v":1,"source":"s","nonce":"n","epoch":1,"resume":"?"}`} {
		if c, err := Decode([]byte(data)); err == nil {
			t.Errorf("%q → %+v, want an error", data, c)
		}
	}
}

// TestEncodeInTheOldestForm: an older binjet refuses just what it would misread.
func TestEncodeInTheOldestForm(t *testing.T) {
	c := Checkpoint{Source: "s", Epoch: 1, Nonce: "n", Position: Position{Snapshot: &Snapshot{Begun: true}}}
	for want, rescan := range map[int]*Rescan{1: nil, 2: {}} {
		c.Snapshot.Rescan = rescan
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(data); err != nil || got.V != want {
			t.Errorf("%s is of version %d (%v), want %d", data, got.V, err, want)
		}
	}
}

// FuzzDecode: whatever lies on the subject, it is read or refused.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"source":"s","nonce":"n","epoch":1,"resume":"0-1-2"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Decode(data)
		if err != nil {
			return
		}
		if again, err := c.Encode(); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func TestPositionMovesOnlyPastWholeTransactions(t *testing.T) {
	g := GTID{Flavor: MariaDB, Server: 1, N: 5}
	p := Position{Resume: set(t, "0-1-4")}
	p.Apply(&Transaction{GTID: g, Messages: make([]binjet.Message, 3), More: true})
	if p.Resume.String() != "0-1-4" || p.Partial == nil || p.Partial.Rows != 3 {
		t.Fatalf("after a part: %+v", p)
	}
	p.Apply(&Transaction{GTID: g, Messages: make([]binjet.Message, 2), Offset: 3, Hash: 9})
	if p.Resume.String() != "0-1-5" || p.Partial != nil || p.Last.Rows != 5 || p.Last.Hash != 9 {
		t.Fatalf("after the whole: %+v", p)
	}
	before := *p.Last
	p.Apply(&Transaction{GTID: GTID{Flavor: MariaDB, Server: 1, N: 6}, ServerUUID: "x"})
	if p.Resume.String() != "0-1-6" || *p.Last != before || p.ServerUUID != "x" {
		t.Fatalf("after one without events: %+v", p)
	}
}
