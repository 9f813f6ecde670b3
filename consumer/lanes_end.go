package consumer

import (
	"container/heap"
	"slices"
	"time"
)

// attempt implements dispatcher.
func (l *lanes) attempt(d *delivery) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.item.noted {
		return d.item.tries
	}
	return d.item.tries + 1
}

// confirm implements dispatcher: only the owner of a share may say that one of its
// messages is dead. It writes so into the share's record.
func (l *lanes) confirm(d *delivery) error { return d.item.share.save() }

// conclude implements dispatcher: a finished message frees its lane, any other
// waits at its head until it is due. The broker is told nothing: what is finished
// stands in the share's position.
func (l *lanes) conclude(d *delivery, out Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch out.Kind {
	case Retried, Deferred:
		l.park(d.item, out.Kind, out.Delay)
	default:
		l.finish(d.item)
	}
	return nil
}

// othersFail reports whether another message that this process holds has failed
// and is not handled. It is what the broker can't say of an ordered consumer.
func (l *lanes) othersFail(d *delivery) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.shares {
		for _, it := range s.progress.open {
			if it.tries > 0 && it != d.item {
				return true, nil
			}
		}
	}
	return false, nil
}

// park ends an attempt whose message stays at the head of its lane.
func (l *lanes) park(it *item, kind Kind, wait time.Duration) {
	switch {
	case kind == Retried && !it.noted:
		it.tries++
	case kind == Deferred && it.noted:
		it.tries--
		it.share.care++
	}
	it.noted = false
	if kind == Retried {
		it.share.touch()
	}
	if !it.void {
		it.due = time.Now().Add(wait)
		heap.Push(&l.parked, it)
		signal(l.wake)
	}
	l.stopped(it.share)
}

// finish ends an item, and makes the next of its lane ready.
func (l *lanes) finish(it *item) {
	s := it.share
	s.progress.finished(it)
	s.touch()
	if !it.void {
		l.forget(it)
		l.advance(it.lane)
	}
	l.stopped(s)
}

func (l *lanes) advance(at *lane) {
	if at == nil {
		return
	}
	first := at.items[0]
	at.items[0] = nil
	at.items = at.items[1:]
	if len(at.items) > 0 {
		l.push(at.items[0])
	} else {
		delete(first.share.byKey, at.key)
	}
}

// forget takes an item out of the counts.
func (l *lanes) forget(it *item) {
	it.share.count--
	l.holding.Add(-1)
	if it.raw != nil {
		l.bytes -= it.size
		it.raw = nil
	}
}

// stopped notes that one attempt of the share is over.
func (l *lanes) stopped(s *share) {
	s.running--
	for _, it := range s.held {
		l.push(it)
	}
	s.held = nil
	if s.gone && s.running == 0 {
		close(s.idle)
	}
	signal(s.roomier)
}

// withdraw drops all items of a share, of which those that run come to their end
// as nobody's. What is open stays so in the share's position.
func (l *lanes) withdraw(s *share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.progress != nil {
		l.clear(s)
	}
	delete(l.shares, s)
	s.gone = true
	if s.running == 0 {
		close(s.idle)
	}
}

// clear drops the items of a share that do not run, and lets go of those that do.
func (l *lanes) clear(s *share) {
	other := func(it *item) bool { return it.share != s }
	l.ready = keep(l.ready, other)
	l.parked = keep(l.parked, other)
	heap.Init(&l.parked)
	for _, it := range s.progress.open {
		l.forget(it)
		it.void = true
	}
	s.byKey, s.held, s.ready = make(map[string]*lane), nil, 0
}

func keep(items []*item, want func(*item) bool) []*item {
	return slices.DeleteFunc(items, func(it *item) bool { return !want(it) })
}

// close implements dispatcher. What does not run is open in its share's position.
func (l *lanes) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	close(l.done)
}

// parked are items in the order in which they are due.
type parked []*item

func (p parked) Len() int           { return len(p) }
func (p parked) Less(i, j int) bool { return p[i].due.Before(p[j].due) }
func (p parked) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *parked) Push(x any)        { *p = append(*p, x.(*item)) }
func (p *parked) Pop() any {
	last := len(*p) - 1
	it := (*p)[last]
	(*p)[last] = nil
	*p = (*p)[:last]
	return it
}
