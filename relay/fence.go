package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binjet/binjet/internal/pause"
)

// settle finds out what became of the commit in flight, and sends its batch again
// for as long as the stream does not hold it: behind a fence, so that of all its
// copies only the last can be stored. Of an event by itself the fence is what tells.
func (s *session) settle(ctx context.Context, cause error) (uint64, error) {
	if s.flight.alone || s.flight.behind > 0 {
		s.lone.doubted()
	}
	for try := 0; ; try++ {
		if !s.flight.alone {
			seq, err := s.pub.settleLoop(ctx, s.r.store, s.flight, cause, s.r.settled)
			if !errors.Is(err, errAbsent) {
				return seq, err
			}
		}
		if err := pause.For(ctx, backoff(try)); err != nil {
			return 0, err
		}
		seq, err := s.fence(ctx)
		if err != nil {
			return 0, err
		}
		if s.flight.alone && seq != 0 {
			s.r.settled(committed, cause)
			return seq, nil
		}
		if s.flight.alone {
			s.r.settled(resend, cause)
		}
		w, err := s.r.prepare(s.flight.batch, s.held, &s.lone, s.flight.checkpoint.Released)
		if err != nil {
			return 0, err
		}
		s.flight, s.sentAt = w, time.Now()
		w.batch.restage()
		if seq, cause = s.pub.commitAndWait(ctx, w); cause == nil {
			return seq, nil
		}
	}
}

// fence makes every copy of what is in flight void, by a checkpoint that says the
// same as the one before, and looks what was stored of it: the sequence of an event
// that went by itself, or 0. A single server that runs out of room in the middle of a
// batch keeps its first events.
func (s *session) fence(ctx context.Context) (uint64, error) {
	if err := s.again(ctx); err != nil {
		return 0, err
	}
	return s.foundBehind(ctx)
}

// foundBehind looks through what lies between the position and the fence, s.held:
// the events that went by themselves, and maybe the one in flight, whose sequence it
// returns then. Anything else, or less, is for a take-over to compare with the source.
func (s *session) foundBehind(ctx context.Context) (seq uint64, err error) {
	behind := s.behind()
	for n := 0; ; n++ {
		more, err := behind.advance(ctx)
		switch {
		case err != nil:
			return 0, fmt.Errorf("look for events behind the checkpoint: %w", err)
		case !more && n < len(s.lone.ids):
			return 0, &tornError{id: s.lone.ids[n]}
		case !more:
			s.lone.tail = 0
			return seq, nil
		case n < len(s.lone.ids) && behind.id == s.lone.ids[n]:
		case n == len(s.lone.ids) && s.flight.alone && behind.id == s.flight.batch.id1():
			seq = behind.seq
		default:
			return 0, &tornError{seq: behind.seq, id: behind.id}
		}
	}
}
