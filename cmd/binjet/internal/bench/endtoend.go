package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/relay"
)

const (
	// heartbeat of the relays: nothing here waits for one.
	heartbeat = time.Second
	// stall is how long nothing may come while something is waited for.
	stall = time.Minute
)

// leading is a relay that runs.
type leading struct {
	relay  *relay.Relay
	events atomic.Int64
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done
}

// start runs a relay; committed gets the number of events of each batch, in the relay's goroutine.
func (b *run) start(ctx context.Context, name string, src relay.Source, committed func(events int), more ...func(relay.Commit)) (*leading, error) {
	l := &leading{done: make(chan struct{})}
	r, err := relay.New(relay.Config{Source: src, Name: name, Conn: b.Conn, Stream: Stream, SubjectPrefix: Prefix, Heartbeat: heartbeat,
		CommitTimeout: b.CommitTimeout, OnInvalid: relay.Halt, Hooks: relay.Hooks{Committed: func(c relay.Commit) {
			for _, f := range more {
				f(c)
			}
			if l.events.Add(int64(c.Events)); c.Events > 0 {
				committed(c.Events)
			}
		}}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l.relay, l.cancel = r, cancel
	go func() {
		defer close(l.done)
		l.err = r.Run(ctx)
	}()
	return l, nil
}

func (l *leading) stop() { l.cancel(); <-l.done }

// wait is until something happens, and no longer than the relay runs and events come.
func (l *leading) wait(ctx context.Context, happens <-chan struct{}) error {
	tick := time.NewTicker(stall)
	defer tick.Stop()
	for before := l.events.Load(); ; {
		select {
		case <-happens:
			return nil
		case <-l.done:
			return fmt.Errorf("the relay of the bench ended: %w", errors.Join(l.err, ctx.Err()))
		case <-tick.C:
			now := l.events.Load()
			if now == before {
				return fmt.Errorf("no event came into the stream for %s: %s", stall, l.relay.Status().Trouble)
			}
			before = now
		}
	}
}

// from begins where the backlog does.
type from struct {
	relay.Source
	at checkpoint.Position
}

func (f from) Begin(context.Context) (checkpoint.Position, error) { return f.at.Clone(), nil }

// arrivals are the events that come, and what is known of them.
type arrivals struct {
	mu          sync.Mutex
	sent        map[string]time.Time // when their COMMIT was; of those that are under way
	n, before   int                  // events, and those of the first batch
	first, last time.Time            // batches
	way         sample               // COMMIT sent to in the stream
	publish     sample               // commit of a batch

	drained, arrived chan struct{}
	backlog          int
}

func (a *arrivals) committed(c relay.Commit) {
	if c.Events == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = time.Now()
	if a.n += c.Events; a.first.IsZero() {
		a.first, a.before = a.last, a.n
	}
	if a.n >= a.backlog {
		closeOnce(a.drained)
	}
	paced := false
	for _, part := range c.Parts {
		for _, m := range part.Messages {
			id := m.Header.Get(binjet.HeaderID)
			if at, ok := a.sent[id]; ok {
				delete(a.sent, id)
				a.way.add(a.last.Sub(at))
				paced = true
			}
		}
	}
	if paced {
		a.publish.add(c.Duration)
	}
	a.check()
}

// check sees whether all have come; arrived is nil as long as more may be sent.
func (a *arrivals) check() {
	if a.arrived != nil && len(a.sent) == 0 {
		closeOnce(a.arrived)
	}
}

func (a *arrivals) note(id string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[id] = at
}

// all is closed once what was sent so far has come.
func (a *arrivals) all() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.arrived = make(chan struct{})
	a.check()
	return a.arrived
}

// endToEnd drains the backlog, and then sees how long events are under way.
func (b *run) endToEnd(ctx context.Context, reader relay.Source, begin checkpoint.Position) error {
	b.Progress("end to end: draining %d rows", b.report.Backlog)
	a := &arrivals{sent: make(map[string]time.Time), drained: make(chan struct{}), backlog: b.report.Backlog}
	began := time.Now()
	r, err := b.start(ctx, Source, from{reader, begin}, func(int) {}, a.committed)
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.wait(ctx, a.drained); err != nil {
		return err
	}
	e := &b.report.EndToEnd
	a.mu.Lock()
	if e.DrainPerSecond = perSecond(a.n-a.before, a.last.Sub(a.first)); a.n == a.before { // one batch: with the start, then
		e.DrainPerSecond = perSecond(a.n, a.last.Sub(began))
	}
	a.mu.Unlock()

	b.Progress("end to end: %g commits/s for %s", b.Rate, b.Duration)
	w, err := b.writing(1)
	if err != nil {
		return err
	}
	w.sent = a.note
	took, err := w.all(ctx, paced(b.Rate, b.Duration))
	if err != nil {
		return err
	}
	if err := r.wait(ctx, a.all()); err != nil {
		return err
	}
	e.CommitsPerSecond = perSecond(int(w.events.Load()), took)
	e.Commit, e.CommitToStream, e.Publish = w.commit.latency(), a.way.latency(), a.publish.latency()
	return nil
}

// paced hands out the times of commits at a rate. They do not wait for one another: a
// server that is slow for a while shows in the latency, and not by fewer commits.
func paced(rate float64, d time.Duration) func() (time.Time, bool) {
	begun := time.Now()
	var n atomic.Int64
	return func() (time.Time, bool) {
		at := time.Duration(float64(n.Add(1)-1) / rate * float64(time.Second))
		return begun.Add(at), at < d
	}
}
