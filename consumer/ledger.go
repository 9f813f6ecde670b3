package consumer

import (
	"container/list"
	"sync"
	"time"
)

// place is where a message lies. Sequences alone are not unique in a process that
// reads the replays of the dead-letter stream as well.
type place struct {
	stream   string
	sequence uint64
}

// ledger tells attempts from deliveries. The broker counts deliveries only, so a
// message that was held back until its time, or handed back unrun, would seem to
// have failed. It is bounded: of what it has forgotten, each delivery counts as
// an attempt.
type ledger struct {
	limit int

	mu      sync.Mutex
	entries map[place]*list.Element
	order   *list.List // of *entry, the oldest first
}

// entry says that of a message's first deliveries so many were attempts.
type entry struct {
	place
	delivered uint64
	attempts  int
	seen      time.Time // when this process noted it; zero when it learned it
}

func newLedger(limit int) *ledger {
	return &ledger{limit: limit, entries: make(map[place]*list.Element), order: list.New()}
}

// attempt is the number of the attempt that the delivery is when it runs.
func (l *ledger) attempt(d *delivery) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.number(d)
}

func (l *ledger) number(d *delivery) int {
	if e, ok := l.entries[d.at]; ok {
		known := e.Value.(*entry)
		if known.delivered >= d.delivered { // an older copy, or the durable consumer was made anew
			return max(min(known.attempts, int(d.delivered)), 1)
		}
		return max(known.attempts+int(d.delivered-known.delivered), 1)
	}
	// A message that was published before its DeliverAt was surely held back once,
	// by whatever process.
	if d.delivered > 1 && d.msg.Replayed == 0 && d.msg.DeliverAt.After(d.msg.Published) {
		return int(d.delivered) - 1
	}
	return int(d.delivered)
}

// failed notes that the delivery was an attempt.
func (l *ledger) failed(d *delivery) { l.note(d, 0) }

// deferred notes that the delivery was not an attempt.
func (l *ledger) deferred(d *delivery) { l.note(d, 1) }

func (l *ledger) note(d *delivery, deferrals int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(entry{d.at, d.delivered, l.number(d) - deferrals, time.Now()})
}

// learn takes over what another process knows.
func (l *ledger) learn(other entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(other)
}

// knows reports whether the delivery before this one is accounted for.
func (l *ledger) knows(d *delivery) bool {
	if d.delivered <= 1 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[d.at]
	return ok && e.Value.(*entry).delivered == d.delivered-1
}

// settled is when this process last gave the message back.
func (l *ledger) settled(d *delivery) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[d.at]; ok {
		seen := e.Value.(*entry).seen
		return seen, !seen.IsZero()
	}
	return time.Time{}, false
}

// unattempted are the messages with deliveries that were not attempts, the most
// recent first, at most limit of them.
func (l *ledger) unattempted(limit int) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []entry
	for e := l.order.Back(); e != nil && len(found) < limit; e = e.Prev() {
		if known := e.Value.(*entry); uint64(known.attempts) < known.delivered {
			found = append(found, *known)
		}
	}
	return found
}

// forget drops a message that will not come back.
func (l *ledger) forget(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[d.at]; ok {
		l.remove(e)
	}
}

func (l *ledger) remove(e *list.Element) {
	delete(l.entries, l.order.Remove(e).(*entry).place)
}

// put takes what is newer than what is known.
func (l *ledger) put(n entry) {
	if e, ok := l.entries[n.place]; ok {
		if e.Value.(*entry).delivered >= n.delivered {
			return
		}
		l.remove(e)
	}
	l.entries[n.place] = l.order.PushBack(&n)
	for l.order.Len() > l.limit {
		l.remove(l.order.Front())
	}
}
