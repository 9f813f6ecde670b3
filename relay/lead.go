package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// session is one epoch of leading: from the take-over to whatever ends it. All
// of it but the reader runs in one goroutine.
type session struct {
	r      *Relay
	pub    *publisher
	held   store.Held // the last checkpoint of ours that the stream holds
	queue  *queue
	strays *strays // events behind the checkpoint we took over from; nil once there are no more

	lone   lone   // events behind held that were published by themselves
	open   *batch // being filled; staged as it grows, or about to go by itself
	flight *write // sent, not settled
	sentAt time.Time
}

// lead publishes from held on until ctx ends (nil), another relay takes over
// ([errDeposed]), the stream turns out to be older (*olderError) or to hold a part
// of a batch (*tornError), the source can't be reached for long (*lostError), or halts.
func (r *Relay) lead(ctx context.Context, pub *publisher, held store.Held) error {
	s := &session{r: r, pub: pub, held: held, queue: newQueue(r.cfg.QueueBytes), sentAt: time.Now()}
	s.open = s.newBatch(held.Position)
	s.strays = s.behind()
	f := &feeder{encoder: r.encoder(), queue: s.queue, backlog: &r.backlog, maxMessages: r.cfg.BatchMessages, maxBytes: r.cfg.BatchBytes,
		quarantine: r.quarantine, askLimits: r.askLimits, rescan: r.newRescan(held)}

	readCtx, stopReading := context.WithCancel(ctx)
	ended := make(chan struct{})
	late := mutantIsLate()
	go func() {
		defer close(ended)
		s.queue.close(r.cfg.Source.Stream(readCtx, held.Position.Clone(), func(tx *checkpoint.Transaction) error {
			if late && len(tx.Messages) > 0 {
				late = false
				return nil
			}
			return f.feed(readCtx, tx)
		}))
	}()
	err := s.run(ctx)
	stopReading()
	<-ended
	defer r.backlog.drop()
	if s.mayRelease(err) {
		if e := s.release(); e != nil {
			r.log.Warn("could not hand over cleanly; a standby takes over after three heartbeats", slog.Any("error", e))
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (s *session) newBatch(after checkpoint.Position) *batch { return &batch{pos: after.Clone()} }

// behind are the events of ours behind the position of held, yet to be looked for.
func (s *session) behind() *strays {
	return &strays{store: s.r.store, source: s.r.cfg.Name, timeout: s.r.cfg.CommitTimeout, alive: s.stayAlive,
		until: s.held.Seq, next: s.held.TrueAt(s.held.Seq) + 1}
}

// run is the event loop: fill, commit, and wait for the next thing to happen.
func (s *session) run(ctx context.Context) error {
	if err := s.findStrays(ctx); err != nil {
		return err
	}
	heartbeat := time.NewTimer(s.r.cfg.Heartbeat)
	defer heartbeat.Stop()
	timeout := time.NewTimer(time.Hour)
	defer timeout.Stop()
	for {
		end, err := s.fill(ctx)
		if err != nil {
			return err
		}
		if s.flight == nil && len(s.open.msgs) > 0 || s.due() {
			if err := s.send(ctx, timeout); err != nil {
				return err
			}
			continue
		}
		if end.done && s.flight == nil {
			return s.sourceEnded(ctx, end.err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.queue.ready:
		case reply := <-s.pub.replies:
			if s.flight == nil {
				break
			}
			if seq, mine, cause := s.pub.answer(s.flight, reply); mine {
				err = s.landed(ctx, seq, cause)
			}
		case <-timeout.C:
			if s.flight != nil {
				err = s.landed(ctx, 0, ErrNoAnswer)
			}
		case <-heartbeat.C:
			if s.flight == nil && len(s.lone.ids) == 0 && time.Since(s.sentAt) >= s.r.cfg.Heartbeat {
				err = s.beat(ctx, timeout)
			}
		}
		if err != nil {
			return err
		}
		if s.flight == nil {
			heartbeat.Reset(max(time.Millisecond, s.wait()))
		}
	}
}

// wait is how long nothing has to be written if nothing happens.
func (s *session) wait() time.Duration {
	d := s.r.cfg.Heartbeat - time.Since(s.sentAt)
	if len(s.lone.ids) > 0 {
		d = min(d, s.loneTime()-time.Since(s.lone.since))
	}
	return d
}

type ending struct {
	done bool
	err  error
}

// stageAtOnce is how many events of a large batch go to the broker at once: each write
// costs both sides, and until the commit before it is answered nobody waits for them.
const stageAtOnce = 32

func (s *session) worthStaging() bool {
	return s.flight == nil || len(s.open.msgs) < stageAtOnce || len(s.open.msgs)-s.open.staged >= stageAtOnce
}

// fill moves what fits from the queue into the open batch and stages it; or the one
// event that is to go by itself.
func (s *session) fill(ctx context.Context) (ending, error) {
	for {
		if len(s.open.msgs) == 0 && s.quiet() {
			if s.flight != nil {
				return ending{}, nil // what comes meanwhile may go by itself too
			}
			s.open.alone = true
		}
		it, ok, done, err := s.queue.take(s.fits)
		if ok && s.open.alone && len(it.msgs) > 0 {
			s.open.add(&it)
			return ending{}, nil
		}
		if !ok {
			if s.worthStaging() {
				if err := s.pub.stage(s.open); err != nil {
					s.open.restage() // not connected: the commit will tell
				}
			}
			return ending{done, err}, nil
		}
		if err := s.dropStrays(ctx, &it); err != nil {
			return ending{}, err
		}
		s.open.add(&it)
	}
}

func (s *session) fits(it *item) bool {
	n := len(it.msgs)
	if n > 0 && !it.alone {
		s.open.alone = false
	}
	switch {
	case n == 0:
		return true
	case !s.open.alone && s.behindUs():
		return false
	case len(s.open.msgs) == 0:
		return true
	}
	return len(s.open.msgs)+n <= s.r.cfg.BatchMessages && s.open.bytes+it.bytes <= s.r.cfg.BatchBytes
}

// findStrays looks for the first of them.
func (s *session) findStrays(ctx context.Context) error {
	more, err := s.strays.advance(ctx)
	if err != nil {
		return fmt.Errorf("look for events behind the checkpoint: %w", err)
	}
	if !more {
		s.strays = nil
		return nil
	}
	s.r.log.Info("the stream holds events of ours behind the checkpoint; comparing them with the source", slog.Uint64("from", s.strays.seq))
	return nil
}

// dropStrays takes out of it what the stream holds already, behind the
// checkpoint that was taken over from. A rescan has done so by itself.
func (s *session) dropStrays(ctx context.Context, it *item) error {
	if it.isRescan() {
		s.strays = nil
		s.open.events += it.strays
	}
	for s.strays != nil && len(it.msgs) > 0 {
		more, err := s.strays.match(ctx, it.msgs[0])
		if err != nil {
			return err
		}
		s.open.events++
		if !more {
			s.strays = nil
			s.r.log.Info("the source has said again what the stream holds behind the checkpoint", slog.Int("events", s.open.events))
		}
		it.msgs = it.msgs[1:]
	}
	return nil
}

// send commits the open batch, or publishes its one event by itself, and opens the
// next one.
func (s *session) send(ctx context.Context, timeout *time.Timer) error {
	if s.open.alone {
		return s.sendAlone(ctx, timeout)
	}
	w, err := s.r.prepare(s.open, s.held, &s.lone, false)
	if err != nil {
		return err
	}
	s.open = s.newBatch(w.batch.pos)
	return s.launch(ctx, w, timeout)
}

// beat writes the checkpoint alone: how far the log was read while there was
// nothing to publish. While some events behind the old checkpoint are still to be
// met in the binlog, the position has to stay where it can be compared from.
func (s *session) beat(ctx context.Context, timeout *time.Timer) error {
	if err := s.unreachable(); err != nil {
		return err
	}
	if s.strays == nil {
		return s.send(ctx, timeout)
	}
	err := s.stayAlive(ctx)
	s.r.trouble(fmt.Sprintf("the stream holds event %s at sequence %d, behind the checkpoint, and the source has not said it again yet", s.strays.id, s.strays.seq))
	return err
}

// stayAlive beats without moving the position, if it is time, and waits for the
// outcome: for what may take long, with nothing in flight that can be stored.
func (s *session) stayAlive(ctx context.Context) error {
	if time.Since(s.sentAt) < s.r.cfg.Heartbeat {
		return nil
	}
	return s.again(ctx)
}

// again writes the checkpoint that is held once more.
func (s *session) again(ctx context.Context) error {
	w, err := s.r.prepareSame(s.held, false)
	if err != nil {
		return err
	}
	s.sentAt = time.Now()
	held, err := s.r.writeAlone(ctx, s.pub, w)
	if err != nil {
		return err
	}
	s.held = held
	return nil
}

func (s *session) launch(ctx context.Context, w *write, timeout *time.Timer) error {
	s.flight, s.sentAt = w, time.Now()
	timeout.Reset(s.r.cfg.CommitTimeout)
	if cause := s.pub.commit(w); cause != nil {
		return s.landed(ctx, 0, cause)
	}
	return nil
}

// landed takes the outcome of the commit in flight. Anything but an OK is
// settled first, and what was staged meanwhile is staged anew, since whatever
// lost the answer may have lost that too.
func (s *session) landed(ctx context.Context, seq uint64, cause error) error {
	if cause != nil {
		var err error
		if seq, err = s.settle(ctx, cause); err != nil {
			return err
		}
		s.open.restage()
	}
	w := s.flight
	s.flight = nil
	s.r.backlog.store(w.batch)
	if w.alone {
		s.landedAlone(w, seq, cause != nil)
		w.batch.recycle(s.r.spares)
		return nil
	}
	s.held = w.held(seq)
	s.lone.covered()
	s.r.committed(s.held, w.batch, time.Since(s.sentAt))
	w.batch.recycle(s.r.spares)
	return nil
}

// sourceEnded writes down how far the source was read before it says why it ended.
func (s *session) sourceEnded(ctx context.Context, cause error) error {
	if cause == nil {
		cause = errors.New("the source ended without saying why")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("read source %s: %w", s.r.cfg.Name, cause)
}

// mayRelease: after being deposed, or on an older stream, the checkpoint is not
// ours to write, and a batch that was stored in part is ours to complete.
func (s *session) mayRelease(err error) bool {
	var older *olderError
	var torn *tornError
	return !errors.Is(err, errDeposed) && !errors.Is(err, errUnrouted) && !errors.As(err, &older) && !errors.As(err, &torn)
}

// release settles what is in flight and marks the checkpoint as free to take.
// The caller's context has ended, so it has a time of its own.
func (s *session) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.r.cfg.CommitTimeout)
	defer cancel()
	if s.flight != nil {
		seq, cause := s.pub.wait(ctx, s.flight)
		if err := s.landed(ctx, seq, cause); err != nil {
			return fmt.Errorf("settle the last commit: %w", err)
		}
	}
	w, err := s.lastWrite()
	if err != nil {
		return err
	}
	s.flight, s.sentAt = w, time.Now()
	seq, cause := s.pub.commitAndWait(ctx, w)
	return s.landed(ctx, seq, cause)
}

// lastWrite is the released checkpoint. It may move past transactions without
// events that were read since the last commit, but not past staged ones.
func (s *session) lastWrite() (*write, error) {
	if s.strays == nil && len(s.open.msgs) == 0 {
		return s.r.prepare(s.open, s.held, &s.lone, true)
	}
	return s.r.prepareSame(s.held, true)
}
