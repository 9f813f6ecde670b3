package faults

import (
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// watch collects checkpoints as the stream's leader holds them, one after the
// other, while everything else goes on.
type watch struct {
	w    *world
	stop chan struct{}
	wg   sync.WaitGroup
	list []store.Held
}

func (w *world) watchCheckpoints(nc *nats.Conn) *watch {
	c := &watch{w: w, stop: make(chan struct{})}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-tick.C:
			}
			if h, ok := held(nc); ok && (len(c.list) == 0 || c.list[len(c.list)-1].Seq != h.Seq) {
				c.list = append(c.list, h)
			}
		}
	}()
	return c
}

func (c *watch) halt() []store.Held { close(c.stop); c.wg.Wait(); return c.list }

// check: every checkpoint counts exactly the events before it, or before the sequence
// where it says that it was true, its position holds their transactions and none of
// those behind it, and epochs never go back.
func (c *watch) check(list []store.Held, events []streamEvent) {
	t := c.w.t
	t.Helper()
	for i, h := range list {
		if i > 0 && h.Seq > list[i-1].Seq && h.Epoch < list[i-1].Epoch {
			t.Fatalf("epoch %d at sequence %d is followed by epoch %d at %d", list[i-1].Epoch, list[i-1].Seq, h.Epoch, h.Seq)
		}
		at := h.TrueAt(h.Seq)
		n := sort.Search(len(events), func(k int) bool { return events[k].seq > at })
		if uint64(n) != h.Count {
			t.Fatalf("the checkpoint at sequence %d counts %d events, before %d there are %d", h.Seq, h.Count, at, n)
		}
		if behind := sort.Search(len(events), func(k int) bool { return events[k].seq > h.Seq }) - n; behind > mostAlone {
			t.Fatalf("%d events lie between the checkpoint at sequence %d and where it was true, %d", behind, h.Seq, at)
		}
		for _, e := range around(events, n) {
			g, err := checkpoint.ParseGTID(e.tx)
			if err != nil {
				t.Fatal(err)
			}
			if covered := h.Resume.Contains(g); covered != (e.seq <= at) {
				t.Fatalf("the checkpoint at sequence %d covers %v: %v", h.Seq, e, covered)
			}
		}
	}
	t.Logf("%d checkpoints looked at", len(list))
}

// mostAlone is how many events may lie behind a checkpoint, and the one under way.
const mostAlone = 101

// wentAlone: what these tests are about happened to events by themselves, too.
func wentAlone(t *testing.T, events []streamEvent) {
	t.Helper()
	n, singles := 0, 0
	for _, e := range events {
		if e.txIndex == "1/1" {
			singles++
		}
		if e.alone {
			n++
		}
	}
	t.Logf("%d events, %d transactions of one event, %d went by themselves", len(events), singles, n)
	if n == 0 {
		t.Error("no event went by itself")
	}
}

// around are the events next to a checkpoint, where it could be wrong.
func around(events []streamEvent, n int) []streamEvent {
	return events[max(0, n-50):min(len(events), n+50)]
}
