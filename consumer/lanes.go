package consumer

import (
	"container/heap"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

// item is one message of a share that was received and is not finished.
type item struct {
	share     *share
	seq       uint64
	published time.Time
	raw       *nats.Msg // nil while it is not held: it is read again when its turn comes
	size      int       // of raw
	lane      *lane     // nil without a key
	tries     int       // failed attempts
	noted     bool      // tries counts the attempt that is being made
	starts    uint64    // deliveries to workers
	due       time.Time // when it may run, while parked
	void      bool      // withdrawn; an attempt that runs may still finish it
}

// lane is the messages of one key, of which the first may run.
type lane struct {
	key   string
	items []*item
}

// lanes is the dispatcher of ordered consumers. Of each key one message is under
// way: running, ready for a worker, or parked until it is due. Those behind it
// wait in its lane. No worker waits for any of them.
type lanes struct {
	*engine

	mu     sync.Mutex
	ready  []*item
	parked parked
	shares map[*share]struct{}
	bytes  int // held in items
	closed bool
	lease  time.Time     // until when messages may be begun
	wake   chan struct{} // has room for one: "look again"
	done   chan struct{} // closed by close
}

func newLanes(e *engine) *lanes {
	return &lanes{engine: e, shares: make(map[*share]struct{}), wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// receive takes an item that was read behind all others of its share; false says
// that its number was there before, and nothing is done.
func (l *lanes) receive(it *item, key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !it.share.progress.received(it) {
		return false
	}
	l.add(it, key)
	return true
}

// restart makes a share work on from a position, with its open items, which come
// first in their lanes. What it held before is dropped.
func (l *lanes) restart(s *share, pos position, open []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.progress != nil {
		l.clear(s)
	}
	s.progress, s.byKey = resume(pos), make(map[string]*lane)
	l.shares[s] = struct{}{}
	for _, it := range open {
		s.progress.carried(it)
		l.add(it, it.raw.Header.Get(binjet.HeaderKey))
	}
}

func (l *lanes) add(it *item, key string) {
	s := it.share
	s.count++
	l.holding.Add(1)
	if l.bytes+it.size <= l.cfg.MaxBytes {
		l.bytes += it.size
	} else {
		it.raw = nil
	}
	if key == "" {
		l.push(it)
		return
	}
	it.lane = s.byKey[key]
	if it.lane == nil {
		it.lane = &lane{key: key}
		s.byKey[key] = it.lane
	}
	it.lane.items = append(it.lane.items, it)
	if len(it.lane.items) == 1 {
		l.push(it)
	}
}

// push makes an item ready. Here and below the caller holds mu where the method
// does not take it.
func (l *lanes) push(it *item) {
	it.share.ready++
	l.ready = append(l.ready, it)
	signal(l.wake)
}

// signal puts a token into a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next implements dispatcher.
func (l *lanes) next() *delivery { return l.following(nil) }

// following implements dispatcher. A lane gives out its next item when the one
// before is finished, so a batch has one message of each key at the most.
func (l *lanes) following(over <-chan time.Time) *delivery {
	for {
		it, wait := l.pop()
		if it != nil {
			if d := l.deliver(it); d != nil {
				return d
			}
			continue
		}
		if over != nil && l.behind() || !l.wait(wait, over) {
			return nil
		}
	}
}

// behind reports whether messages wait for the end of those under way. A batch
// that waited for others would only keep these waiting.
func (l *lanes) behind() bool {
	_, behind := l.waiting()
	return behind > 0
}

// waiting counts the messages that are not due, and those behind another of their key.
func (l *lanes) waiting() (parked, behind int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parked = len(l.parked)
	for s := range l.shares {
		behind += s.count - s.ready - s.running
	}
	return parked, max(behind-parked, 0)
}

// wait waits until pop may have something; false says that there is no more waiting.
func (l *lanes) wait(least time.Duration, over <-chan time.Time) bool {
	var due <-chan time.Time
	if least > 0 {
		timer := time.NewTimer(least)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-l.wake:
	case <-due:
	case <-over:
		return false
	case <-l.done:
		return false
	}
	return true
}

// pop takes the item whose turn it is, or says how long to wait for one; 0 is
// until something happens.
func (l *lanes) pop() (*item, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, 0
	}
	for now := time.Now(); len(l.parked) > 0 && !l.parked[0].due.After(now); {
		l.push(heap.Pop(&l.parked).(*item))
	}
	if time.Now().After(l.lease) {
		return nil, 0
	}
	for len(l.ready) > 0 {
		it := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		s := it.share
		s.ready--
		if s.care > 0 && s.running > 0 {
			s.held = append(s.held, it) // one at a time
			continue
		}
		s.running++
		signal(s.roomier)
		if len(l.ready) > 0 {
			signal(l.wake) // for another worker
		}
		return it, 0
	}
	if len(l.parked) > 0 {
		return nil, max(time.Until(l.parked[0].due), time.Microsecond)
	}
	return nil, 0
}

// renew lets messages be begun until then. A process that the other members can't
// hear begins none, since they may have taken over what it had.
func (l *lanes) renew(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = until
	signal(l.wake)
}

// deliver makes the delivery for one attempt. It returns nil when there is none:
// the item is then parked, finished or another owner's.
func (l *lanes) deliver(it *item) *delivery {
	raw, careful, ok := l.begin(it)
	if !ok {
		return nil
	}
	if careful { // so that the attempt counts even if it is the end of this process
		if err := it.share.save(); err != nil {
			l.putOff(it, err)
			return nil
		}
	}
	if raw == nil {
		var err error
		raw, _, err = it.share.fetch(it.seq, it.published)
		switch {
		case errors.Is(err, errGone):
			l.log.Warn("a message was removed from the stream before its turn came", slog.Uint64("sequence", it.seq), slog.Any("error", err))
			l.drop(it)
			return nil
		case err != nil:
			l.putOff(it, err)
			return nil
		}
	}
	d := l.decoded(raw, it.seq, it.published)
	d.item, d.delivered = it, it.starts
	d.msg.Attempt = l.attempt(d)
	l.cfg.Hooks.received(d.msg, d.delivered)
	return d
}

// begin counts an attempt. careful says that it has to be noted before it is
// made, since the share's owners keep dying.
func (l *lanes) begin(it *item) (raw *nats.Msg, careful, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := it.share
	if it.void {
		l.stopped(s)
		return nil, false, false
	}
	it.starts++
	if s.care > 0 {
		s.care--
		it.tries++
		it.noted = true
	}
	return it.raw, it.noted, true
}

// putOff parks an item whose attempt could not begin.
func (l *lanes) putOff(it *item, err error) {
	wait := l.cfg.Backoff.delay(1)
	l.log.Warn("a message can't be handled now", slog.Uint64("sequence", it.seq), slog.Any("error", err), slog.Duration("again_in", wait))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.park(it, Deferred, wait)
}

// drop finishes an item that is not to be handled.
func (l *lanes) drop(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish(it)
	l.counts[Ignored].Add(1)
}
