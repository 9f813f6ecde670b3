package consumer

import (
	"container/list"
	"sync"
)

// ledger remembers deliveries that were not attempts. The broker counts
// deliveries only, so a message that was held back until its time, or handed
// back unrun, would seem to have failed. It lives in this process's memory and is
// bounded: what it has forgotten counts as attempts.
type ledger struct {
	limit int

	mu      sync.Mutex
	entries map[uint64]*list.Element // by stream sequence
	order   *list.List               // of *entry, oldest first
}

type entry struct {
	sequence  uint64
	deferrals int
}

func newLedger(limit int) *ledger {
	return &ledger{limit: limit, entries: make(map[uint64]*list.Element), order: list.New()}
}

// attempt is the number of the attempt that delivery number delivered is.
// delayed says that the message was published before its DeliverAt: then one
// earlier delivery was surely the one that held it back, and is not counted even
// when this process was not the one that did it.
func (l *ledger) attempt(sequence, delivered uint64, delayed bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, known := l.entries[sequence]
	if !known && delayed && delivered > 1 {
		e, known = l.add(sequence, 1), true
	}
	n := int(delivered)
	if known {
		n -= e.Value.(*entry).deferrals
	}
	return max(n, 1)
}

// deferred notes that the delivery at hand was not an attempt.
func (l *ledger) deferred(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[sequence]; ok {
		e.Value.(*entry).deferrals++
		return
	}
	l.add(sequence, 1)
}

// forget drops a message that will not come back.
func (l *ledger) forget(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[sequence]; ok {
		l.order.Remove(e)
		delete(l.entries, sequence)
	}
}

func (l *ledger) add(sequence uint64, deferrals int) *list.Element {
	e := l.order.PushBack(&entry{sequence, deferrals})
	l.entries[sequence] = e
	for l.order.Len() > l.limit {
		oldest := l.order.Remove(l.order.Front()).(*entry)
		delete(l.entries, oldest.sequence)
	}
	return e
}
