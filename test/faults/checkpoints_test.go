package faults

import (
	"sort"
	"sync"
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

// check: every checkpoint counts exactly the events before it, its position holds
// their transactions and none of those behind it, and epochs never go back.
func (c *watch) check(list []store.Held, events []streamEvent) {
	t := c.w.t
	t.Helper()
	for i, h := range list {
		if i > 0 && h.Seq > list[i-1].Seq && h.Epoch < list[i-1].Epoch {
			t.Fatalf("epoch %d at sequence %d is followed by epoch %d at %d", list[i-1].Epoch, list[i-1].Seq, h.Epoch, h.Seq)
		}
		n := sort.Search(len(events), func(k int) bool { return events[k].seq > h.Seq })
		if uint64(n) != h.Count {
			t.Fatalf("the checkpoint at sequence %d counts %d events, before it there are %d", h.Seq, h.Count, n)
		}
		for _, e := range around(events, n) {
			g, err := checkpoint.ParseGTID(e.tx)
			if err != nil {
				t.Fatal(err)
			}
			if covered := h.Resume.Contains(g); covered != (e.seq < h.Seq) {
				t.Fatalf("the checkpoint at sequence %d covers %v: %v", h.Seq, e, covered)
			}
		}
	}
	t.Logf("%d checkpoints looked at", len(list))
}

// around are the events next to a checkpoint, where it could be wrong.
func around(events []streamEvent, n int) []streamEvent {
	return events[max(0, n-50):min(len(events), n+50)]
}
