package relay

import (
	"math/rand/v2"
	"testing"
)

// TestQueueOrder: what is put in comes out in that order, however long the queue is
// meanwhile, and a queue that is never empty makes no garbage.
func TestQueueOrder(t *testing.T) {
	q, dice := newQueue(1<<30), rand.New(rand.NewPCG(1, 2))
	next, want := 1, 1
	step := func(length int) {
		for next-want < length {
			if !q.tryPut(item{bytes: next}) {
				t.Fatalf("item %d does not enter", next)
			}
			next++
		}
		it, ok, _, _ := q.take(func(*item) bool { return true })
		if !ok || it.bytes != want {
			t.Fatalf("took %d, %v, want %d", it.bytes, ok, want)
		}
		want++
	}
	for range 20_000 {
		step(1 + dice.IntN(300))
	}
	for range 1000 { // a steady length
		step(300)
	}
	if n := testing.AllocsPerRun(5000, func() { step(300) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if cap(q.items) > 2000 {
		t.Errorf("room for %d items", cap(q.items))
	}
}
