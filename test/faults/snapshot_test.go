package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
)

// TestSnapshotKilled: the streamer begins with the rows that lie in the table,
// under load, and is killed while it publishes them. Each row is in the stream
// once: those of the snapshot in the order of their IDs, all later ones in binlog order.
func TestSnapshotKilled(t *testing.T) {
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor, "BINJET_SOURCE_START=snapshot")
		const rows = 60_000
		w.fill(rows)
		ws := w.write(4)
		nc := w.nats.Connect(t)
		p := w.start()
		kills := 0
		for done := uint64(0); done < rows && kills < 8; kills++ {
			eventually(t, "progress of the snapshot", func() bool { return count(nc) > done })
			p.kill()
			h, ok := held(nc)
			for !ok {
				h, ok = held(nc)
			}
			if h.Snapshot == nil {
				break
			}
			done = h.Count
			p = w.start()
		}
		if kills < 2 {
			t.Fatalf("the snapshot was done after %d kills: it has to be larger for this test", kills)
		}
		if !p.alive() {
			p = w.start()
		}
		ws.halt()
		truth := w.truth()
		eventually(t, "all events", func() bool { return count(nc) >= uint64(len(truth)) })
		events := readStream(t, nc)
		n := slices.IndexFunc(events, func(e streamEvent) bool { return e.tx != "" })
		if n < rows {
			t.Fatalf("%d rows came from the snapshot, %d were there before it", n, rows)
		}
		if !slices.IsSortedFunc(events[:n], func(a, b streamEvent) int { return strings.Compare(a.id, b.id) }) {
			t.Fatal("the rows of the snapshot are not in the order of their IDs")
		}
		inSnapshot := map[string]bool{}
		for _, e := range events[:n] {
			inSnapshot[e.id] = true
		}
		if len(inSnapshot) != n {
			t.Fatalf("the snapshot repeats %d rows", n-len(inSnapshot))
		}
		later := slices.DeleteFunc(truth, func(id string) bool { return inSnapshot[id] })
		compare(t, events[n:], later)
		t.Logf("%d events, %d of them from the snapshot, %d kills", len(events), n, kills)
		if code := p.stop(t); code != 0 {
			t.Fatalf("a clean stop ended with code %d:\n%s", code, tail(p.log))
		}
	})
}

// fill inserts n rows, many at a time.
func (w *world) fill(n int) {
	w.t.Helper()
	out, err := producer.New(producer.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	for ; n > 0; n -= 1000 {
		msgs := make([]*binjet.Message, 1000)
		for i := range msgs {
			msgs[i] = &binjet.Message{Topic: "orders.created", Key: fmt.Sprint(i), Payload: make([]byte, 200)}
		}
		if err := out.Insert(w.t.Context(), w.db, msgs...); err != nil {
			w.t.Fatal(err)
		}
	}
}
