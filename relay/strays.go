package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/pause"
)

// strays are events of our source that lie in the stream behind the sequence at
// which the checkpoint was true: a broker that lost its tail, or its newest
// checkpoint, may have kept them. Our own take-over stands behind them, so no
// more can appear, and they are the next events that the binlog yields.
type strays struct {
	store   *store.Store
	source  string
	timeout time.Duration               // of one question
	alive   func(context.Context) error // called meanwhile: the way may be long
	until   uint64                      // sequence of our take-over
	// unfenced: nothing of ours stands at until, which may be where the stream ends. Then
	// what is found is of this moment, and says nothing of what is still to come.
	unfenced bool
	next     uint64 // the first that was not looked at
	id       string // of the first that is not yet met
	seq      uint64
}

// advance finds the next stray. The scan has ended only when our own take-over,
// or something behind it, comes back: "not found" before is a stale answer.
func (s *strays) advance(ctx context.Context) (more bool, err error) {
	for try := 0; s.next < s.until; {
		if err := s.alive(ctx); err != nil {
			return false, err
		}
		askCtx, cancel := context.WithTimeout(ctx, s.timeout)
		msg, err := s.store.Next(askCtx, s.next)
		cancel()
		if s.unfenced && errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			if ctx.Err() != nil || !transient(err) {
				return false, err
			}
			if err := pause.For(ctx, backoff(try)); err != nil {
				return false, err
			}
			try++
			continue
		}
		s.next, try = msg.Seq+1, 0
		if msg.Seq < s.until && msg.Header.Get(binjet.HeaderSource) == s.source {
			s.id, s.seq = msg.Header.Get(binjet.HeaderID), msg.Seq
			return true, nil
		}
	}
	return false, nil
}

func transient(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrReconnectBufExceeded)
}

// match compares the next event of the binlog with the next stray, which must be
// the same, and reports whether there are more strays.
func (s *strays) match(ctx context.Context, msg *nats.Msg) (more bool, err error) {
	id := msg.Header.Get(binjet.HeaderID)
	if id != s.id {
		return false, &checkpoint.HaltError{
			Problem: fmt.Sprintf("sequence %d of the stream, behind the checkpoint, holds event %s where the binlog goes on with %s", s.seq, s.id, id),
			Hint: "One of these: the server was failed over to one that never got that event's transaction; source.tables or the mapping of columns was changed after a streamer was killed; " +
				"the stream was put back to a state that this binlog did not lead to; another program publishes events as this source. Undo it and start again; nothing was published. " +
				"Or go on from a position by binjet position set",
		}
	}
	return s.advance(ctx)
}

// tornError says that the stream holds an event behind the checkpoint that should not
// be there yet, a part of a batch, or, with seq 0, no longer one that was acknowledged.
type tornError struct {
	seq uint64
	id  string
}

func (e *tornError) Error() string {
	if e.seq == 0 {
		return fmt.Sprintf("event %s was acknowledged and is not in the stream", e.id)
	}
	return fmt.Sprintf("event %s is at sequence %d without the checkpoint of its batch", e.id, e.seq)
}
