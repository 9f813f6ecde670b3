package relay

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
)

// item is what the publisher takes from the queue: a transaction, or a part of
// one, that fits into a batch, or the positions of transactions without events.
type item struct {
	tx      *checkpoint.Transaction
	msgs    []*nats.Msg
	bytes   int
	ends    bool                    // it is the last item of what the source gave at once
	strays  int                     // events of ours behind the checkpoint, which a rescan found
	alone   bool                    // its event may be published by itself
	skipped checkpoint.GTIDSet      // when tx is nil
	last    *checkpoint.Transaction // of the skipped ones
}

func (it *item) isRescan() bool {
	return it.tx != nil && it.tx.Snapshot != nil && it.tx.Snapshot.Rescan != nil
}

func (it *item) apply(p *checkpoint.Position) {
	if it.tx != nil {
		p.Apply(it.tx)
		return
	}
	p.Skip(it.skipped, it.last)
}

// queueEvents bounds what waits besides its bytes: a small event takes many times as much
// memory as it has bytes, and more than the next two batches need not be ready.
const queueEvents = 2 * MaxBatchMessages

// queue holds what was read and is not yet in a batch, bounded by bytes and events. One
// goroutine puts, one takes.
type queue struct {
	limit int
	ready chan struct{} // something to take, or closed
	space chan struct{} // something was taken

	mu    sync.Mutex
	items []item // of which the first so many are taken
	taken int
	bytes int
	// events are those that wait, batches the items that need a batch.
	events, batches int

	err  error // why nothing more will come
	done bool
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

// put waits until there is room. A single item larger than the limit is let in
// when the queue is empty.
func (q *queue) put(ctx context.Context, it item) error {
	for !q.tryPut(it) {
		select {
		case <-q.space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (q *queue) tryPut(it item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := q.bytes > 0 && q.bytes+it.bytes > q.limit || q.events > 0 && q.events+len(it.msgs) > queueEvents
	if full && it.bytes > 0 {
		return false
	}
	q.append(it)
	q.count(&it, 1)
	notify(q.ready)
	return true
}

// append uses the room of what is taken again, once it is half of the list.
func (q *queue) append(it item) {
	if len(q.items) == cap(q.items) && q.taken > len(q.items)/2 {
		left := copy(q.items, q.items[q.taken:])
		clear(q.items[left:])
		q.items, q.taken = q.items[:left], 0
	}
	q.items = append(q.items, it)
}

func (q *queue) count(it *item, sign int) {
	q.bytes += sign * it.bytes
	q.events += sign * len(it.msgs)
	if len(it.msgs) > 0 && !it.alone {
		q.batches += sign
	}
}

// waiting says how many events wait, and how many items with events that need a batch.
func (q *queue) waiting() (events, batches int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events, q.batches
}

// skip moves the position past a transaction without events. Those that follow
// each other take no more room than one.
func (q *queue) skip(tx *checkpoint.Transaction) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.items); n == q.taken || q.items[n-1].tx != nil {
		q.append(item{})
	}
	last := &q.items[len(q.items)-1]
	last.skipped.Add(tx.GTID)
	if tx.GTID.IsZero() && last.last != nil { // only the position moves on
		moved := *last.last
		moved.Binlog = tx.Binlog
		tx = &moved
	}
	last.last = tx
	notify(q.ready)
}

// close says that nothing more will come, and why. What is in the queue can
// still be taken.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done, q.err = true, err
	notify(q.ready)
}

// take returns the first item when fits says yes to it. done is true when the
// queue is empty and closed; err is what it was closed with.
func (q *queue) take(fits func(*item) bool) (it item, ok, done bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken == len(q.items) {
		return item{}, false, q.done, q.err
	}
	first := &q.items[q.taken]
	if !fits(first) {
		return item{}, false, false, nil
	}
	it, *first = *first, item{}
	if q.taken++; q.taken == len(q.items) {
		q.items, q.taken = q.items[:0], 0
	}
	q.count(&it, -1)
	notify(q.space)
	return it, true, false, nil
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
