package relay

import (
	"testing"

	"github.com/binjet/binjet/checkpoint"
)

// XA transactions without events keep their place in the queue, take room in it
// and none in the batch.
func TestFeedXA(t *testing.T) {
	q := newQueue(1 << 20)
	f := &feeder{queue: q, backlog: new(backlog), maxMessages: 10, maxBytes: 1 << 20}
	g := func(n uint64) checkpoint.GTID { return checkpoint.GTID{Flavor: checkpoint.MariaDB, N: n} }
	for _, tx := range []*checkpoint.Transaction{
		{GTID: g(1)},
		{GTID: g(2), Prepared: &checkpoint.XA{XID: "a", GTID: g(2), Rows: 1}},
		{GTID: g(3), Prepared: &checkpoint.XA{XID: "b", GTID: g(3)}},
		{GTID: g(4)},
		{GTID: g(5), Decided: "b"},
	} {
		if err := f.feed(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	if q.bytes != 3*idleBytes {
		t.Errorf("%d bytes are counted", q.bytes)
	}
	b := &batch{}
	for range 5 {
		it, ok, _, _ := q.take(func(*item) bool { return true })
		if !ok {
			t.Fatal("too few items")
		}
		b.add(&it)
	}
	if len(b.pos.XA) != 1 || b.pos.XA[0].XID != "a" || !b.pos.Resume.Contains(g(5)) || b.bytes != 0 || b.events != 0 {
		t.Errorf("%+v", b)
	}
}
