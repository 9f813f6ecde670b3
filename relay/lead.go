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
	strays *strays // events behind the checkpoint we took over from; nil when there are none

	open   *batch // being filled; staged as it grows
	flight *write // sent, not settled
	sentAt time.Time
}

// lead publishes from held on until ctx ends (nil), another relay takes over
// ([errDeposed]), the stream turns out to be older (*olderError), or the source halts.
func (r *Relay) lead(ctx context.Context, pub *publisher, held store.Held, behind *strays) error {
	s := &session{r: r, pub: pub, held: held, queue: newQueue(r.cfg.QueueBytes), strays: behind}
	s.open = s.newBatch(held.Position)
	f := &feeder{encoder: r.encoder(), queue: s.queue, maxMessages: r.cfg.BatchMessages, maxBytes: r.cfg.BatchBytes}

	readCtx, stopReading := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.queue.close(r.cfg.Source.Stream(readCtx, held.Position.Clone(), func(tx *checkpoint.Transaction) error {
			return f.feed(readCtx, tx)
		}))
	}()
	err := s.run(ctx)
	stopReading()
	<-ended
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

// run is the event loop: fill, commit, and wait for the next thing to happen.
func (s *session) run(ctx context.Context) error {
	heartbeat := time.NewTimer(s.r.cfg.Heartbeat)
	defer heartbeat.Stop()
	timeout := time.NewTimer(time.Hour)
	defer timeout.Stop()
	for {
		end, err := s.fill(ctx)
		if err != nil {
			return err
		}
		if s.flight == nil && len(s.open.msgs) > 0 {
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
			if seq, mine, cause := s.pub.answer(reply); mine && s.flight != nil {
				err = s.landed(ctx, seq, cause)
			}
		case <-timeout.C:
			if s.flight != nil {
				err = s.landed(ctx, 0, errNoAnswer)
			}
		case <-heartbeat.C:
			if s.flight == nil && time.Since(s.sentAt) >= s.r.cfg.Heartbeat {
				err = s.beat(ctx, timeout)
			}
		}
		if err != nil {
			return err
		}
		if s.flight == nil {
			heartbeat.Reset(max(time.Millisecond, s.r.cfg.Heartbeat-time.Since(s.sentAt)))
		}
	}
}

type ending struct {
	done bool
	err  error
}

// fill moves what fits from the queue into the open batch and stages it.
func (s *session) fill(ctx context.Context) (ending, error) {
	for {
		it, ok, done, err := s.queue.take(s.fits)
		if !ok {
			if err := s.pub.stage(s.open); err != nil {
				s.open.restage() // not connected: the commit will tell
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
	if n == 0 || len(s.open.msgs) == 0 {
		return true
	}
	return len(s.open.msgs)+n <= s.r.cfg.BatchMessages && s.open.bytes+it.bytes <= s.r.cfg.BatchBytes
}

// dropStrays takes out of it what the stream holds already, behind the
// checkpoint that was taken over from.
func (s *session) dropStrays(ctx context.Context, it *item) error {
	for s.strays != nil && len(it.msgs) > 0 {
		more, err := s.strays.match(ctx, it.msgs[0])
		if err != nil {
			return err
		}
		if !more {
			s.strays = nil
		}
		s.open.events++
		it.msgs = it.msgs[1:]
	}
	return nil
}

// send commits the open batch and opens the next one.
func (s *session) send(ctx context.Context, timeout *time.Timer) error {
	w, err := s.r.prepare(s.open, s.held)
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
	if s.strays == nil {
		return s.send(ctx, timeout)
	}
	w, err := s.r.prepareSame(s.held, false)
	if err != nil {
		return err
	}
	return s.launch(ctx, w, timeout)
}

func (s *session) launch(ctx context.Context, w *write, timeout *time.Timer) error {
	s.flight, s.sentAt = w, time.Now()
	timeout.Reset(s.r.cfg.CommitTimeout)
	if cause := s.pub.commit(w.batch, w.record, w.attempt.prevSeq); cause != nil {
		return s.landed(ctx, 0, cause)
	}
	return nil
}

// landed takes the outcome of the commit in flight. Anything but an OK is
// settled first, and what was staged meanwhile is staged anew, since whatever
// lost the answer may have lost that too.
func (s *session) landed(ctx context.Context, seq uint64, cause error) error {
	w := s.flight
	if cause != nil {
		var err error
		if seq, err = s.pub.settleLoop(ctx, s.r.store, w, cause, s.r.settled); err != nil {
			return err
		}
		s.open.restage()
	}
	s.flight = nil
	s.held = w.held(seq)
	s.r.committed(s.held, w.batch, time.Since(s.sentAt))
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
// ours to write.
func (s *session) mayRelease(err error) bool {
	var older *olderError
	return !errors.Is(err, errDeposed) && !errors.As(err, &older)
}

// release settles what is in flight and marks the checkpoint as free to take.
// The caller's context has ended, so it has a time of its own.
func (s *session) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.r.cfg.CommitTimeout)
	defer cancel()
	if s.flight != nil {
		seq, cause := s.pub.wait(ctx)
		if err := s.landed(ctx, seq, cause); err != nil {
			return fmt.Errorf("settle the last commit: %w", err)
		}
	}
	w, err := s.lastWrite()
	if err != nil {
		return err
	}
	s.flight, s.sentAt = w, time.Now()
	if cause := s.pub.commit(w.batch, w.record, w.attempt.prevSeq); cause != nil {
		return s.landed(ctx, 0, cause)
	}
	seq, cause := s.pub.wait(ctx)
	return s.landed(ctx, seq, cause)
}

// lastWrite is the released checkpoint. It may move past transactions without
// events that were read since the last commit, but not past staged ones.
func (s *session) lastWrite() (*write, error) {
	if s.strays == nil && len(s.open.msgs) == 0 {
		return s.r.prepareReleased(s.open, s.held)
	}
	return s.r.prepareSame(s.held, true)
}
