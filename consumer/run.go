package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/runenv"
)

// flushTimeout bounds the wait for the last acknowledgements to leave this process.
const flushTimeout = 2 * time.Second

// Run consumes until ctx ends, then drains and returns nil. Whatever happens to
// the broker or the connection meanwhile, it goes on when they are back.
//
// It returns an error at once for what will not heal: faults of the handlers, a
// stream that does not exist, a durable consumer of that name that is something
// else, an inbox that forgets messages which can still come. Later it returns one only when the connection was closed for good.
//
// When ctx ends, no more messages are fetched, buffered ones are handed back,
// and running handlers finish. At DrainTimeout their contexts are cancelled and
// the error is [ErrDrainTimeout]; Run still waits for them to return. All
// goroutines have ended when Run returns. It can be called once.
func (c *Consumer) Run(ctx context.Context) error {
	if c.js == nil {
		return errors.New("consumer: Run needs a broker: this consumer was made by NewOffline")
	}
	if err := c.begin(); err != nil {
		return err
	}
	c.returned = newReturned(c)
	c.life.become(StateStarting)
	defer c.life.become(StateStopped)
	workCtx, cancelWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelWork(nil)
	env := runenv.Env{Codecs: c.cfg.Codecs, Stopping: c.stopping}
	e := &engine{Consumer: c, work: runenv.With(workCtx, env), ready: make(chan struct{})}
	source := e.source()
	again := newReplays(e)
	stopBeats := e.startHeartbeats()
	defer stopBeats()
	stopUpkeep := e.allowUpkeep(ctx)
	defer stopUpkeep()
	for range c.cfg.Concurrency {
		e.workers.Go(e.worker)
	}
	again.workers.Go(again.worker)
	stopReplays := again.start(ctx)
	err := source.run(ctx)
	stopReplays()
	c.life.become(StateDraining)
	close(c.stopping)
	e.dispatch.close()
	again.close()
	err = errors.Join(err, e.drain(cancelWork, &again.workers))
	source.leave()
	if nc := c.js.Conn(); nc.IsConnected() {
		if flushErr := nc.FlushTimeout(flushTimeout); flushErr != nil {
			c.log.Warn("could not flush the last acknowledgements; those messages are delivered again", slog.Any("error", flushErr))
		}
	}
	return err
}

// source fills the dispatcher.
type source interface {
	// run does so until ctx ends, or returns an error that does not heal.
	run(ctx context.Context) error
	// leave is called when no handler runs any more.
	leave()
}

// source sets the dispatcher for the order of the config, and returns what fills it.
func (e *engine) source() source {
	if e.cfg.Ordered == ByKey {
		l := newLanes(e)
		e.dispatch = l
		e.lanes.Store(l)
		e.breaker.others = func(d *delivery) (bool, error) {
			if d.item == nil { // a replay
				return e.othersFail(d)
			}
			return l.othersFail(d)
		}
		return newGroup(e, l)
	}
	q := newQueue(e, e.cfg.capacity())
	e.dispatch = q
	return q
}

// engine is one Run.
type engine struct {
	*Consumer
	dispatch dispatcher
	work     context.Context // of handlers; outlives Run's until DrainTimeout
	workers  sync.WaitGroup
	// What each session learns about the stream, before it delivers.
	partitions atomic.Int32  // how subjects are built
	replicas   atomic.Int32  // for the dead letters
	ready      chan struct{} // closed when the first session is open
	readyOnce  sync.Once
	upkeep     upkeep
}

// partitioned says whether subjects name the key's partition.
func (e *engine) partitioned() bool { return e.partitions.Load() > 0 }

// delivery is one message held by this process.
type delivery struct {
	raw       *nats.Msg
	msg       *Message
	at        place // where it was read; of a replay that is not msg.Sequence
	durable   string
	delivered uint64
	noted     bool  // it is written down that this delivery was no attempt
	err       error // it could not be decoded
	item      *item // of an ordered consumer
}

// startHeartbeats keeps every held message alive on the broker until the
// returned function is called.
func (e *engine) startHeartbeats() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(e.cfg.AckWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				e.held.beat()
			case <-done:
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// follow keeps a session for the feed open until ctx ends. It returns an error
// only for what does not heal, and errOver when the feed is not this process's any more.
func (e *engine) follow(ctx context.Context, f feed) error {
	return e.persist(ctx, func(ctx context.Context) (bool, error) { return e.session(ctx, f) })
}

// persist does something until ctx ends, each time anew when it ended.
func (e *engine) persist(ctx context.Context, do func(context.Context) (opened bool, err error)) error {
	failures, everOpen := 0, false
	for ctx.Err() == nil {
		opened, err := false, e.connected(ctx)
		if err == nil && ctx.Err() == nil {
			opened, err = do(ctx)
		}
		if ctx.Err() != nil {
			break
		}
		everOpen = everOpen || opened
		if errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("consumer %s: %w", e.cfg.Name, err)
		}
		if errors.Is(err, errOver) {
			return err
		}
		if permanent(err) && (!everOpen || errors.Is(err, errOrdered) || errors.Is(err, errNewerRecord)) {
			return fmt.Errorf("consumer %s: %w", e.cfg.Name, err)
		}
		if failures++; opened {
			failures = 1
		}
		wait := Backoff{Min: 50 * time.Millisecond, Max: 5 * time.Second}.delay(failures)
		e.log.Warn("the session with the broker ended; opening another", slog.Any("error", err), slog.Duration("in", wait))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// drain waits for the workers, and cancels the handlers when that takes too long.
func (e *engine) drain(cancel context.CancelCauseFunc, others *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { e.workers.Wait(); others.Wait(); close(done) }()
	timeout := time.NewTimer(e.cfg.DrainTimeout)
	defer timeout.Stop()
	select {
	case <-done:
		return nil
	case <-timeout.C:
	}
	e.log.Warn("handlers are still running at the end of DrainTimeout; cancelling them",
		slog.Duration("drain_timeout", e.cfg.DrainTimeout), slog.Int("messages", e.held.count()+int(e.holding.Load())))
	cancel(ErrDrainTimeout)
	<-done
	return ErrDrainTimeout
}
