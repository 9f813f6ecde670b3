package relay

import (
	"context"
	"fmt"

	"github.com/binjet/binjet/checkpoint/store"
)

// Behind are the events of the source that lie in the stream behind a position: a leader
// published them by themselves, and its checkpoint has not followed, or could not where it
// was killed or deposed. A relay that goes on from there does not repeat them.
type Behind struct {
	Events        int    `json:"events"`
	First         string `json:"first"` // message IDs
	Last          string `json:"last"`
	FirstSequence uint64 `json:"first_sequence"`
	LastSequence  uint64 `json:"last_sequence"`
}

// Look is what [Relay.Hold] would find, without taking anything over. It is exact where
// nobody leads, and while a relay does, a picture of one moment. The error is
// [ErrNoCheckpoint] where there is none.
func (r *Relay) Look(ctx context.Context) (held store.Held, b Behind, err error) {
	fail := func(err error) (store.Held, Behind, error) {
		return store.Held{}, Behind{}, fmt.Errorf("look at the checkpoint of source %s: %w", r.cfg.Name, err)
	}
	// The end first: what lies up to it and behind the checkpoint that is read then was
	// followed by no other one.
	state, err := r.store.State(ctx)
	if err != nil {
		return fail(err)
	}
	if held, err = r.load(ctx); err != nil {
		return fail(err)
	}
	if b, err = r.lookBehind(ctx, held, state.LastSeq+1, false); err != nil {
		return fail(err)
	}
	return held, b, nil
}

// lookBehind counts the events between the position of held and until. fenced: a write
// of ours stands at until, behind which nothing can change any more.
func (r *Relay) lookBehind(ctx context.Context, held store.Held, until uint64, fenced bool) (b Behind, err error) {
	s := strays{store: r.store, source: r.cfg.Name, timeout: r.cfg.CommitTimeout, alive: func(context.Context) error { return nil },
		until: until, unfenced: !fenced, next: held.TrueAt(held.Seq) + 1}
	for {
		more, err := s.advance(ctx)
		if err != nil || !more {
			return b, err
		}
		if b.Events++; b.Events == 1 {
			b.First, b.FirstSequence = s.id, s.seq
		}
		b.Last, b.LastSequence = s.id, s.seq
	}
}
