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

// takeOver makes this relay the leader: one compare-and-set on what was held
// (nil: nothing), with a higher epoch and the same position. From then on every
// write of the relay before is refused. Only behind that fence may it look for
// events of ours that the checkpoint does not cover. [errDeposed] means that
// another one was quicker, or is alive.
func (r *Relay) takeOver(ctx context.Context, pub *publisher, held *store.Held) (store.Held, error) {
	copies, err := r.listCopies(ctx)
	if err != nil && held == nil {
		return store.Held{}, err
	}
	if err != nil {
		r.log.Warn("can't read the checkpoint copies; going on without them", slog.Any("error", err))
	}
	from, err := r.startFrom(ctx, held, copies)
	if err != nil {
		return store.Held{}, r.orAppeared(ctx, held, err)
	}
	if err := r.cfg.Source.Verify(ctx, from.Position.Clone()); err != nil {
		return store.Held{}, fmt.Errorf("verify the position of source %s: %w", r.cfg.Name, err)
	}
	epoch := r.nextEpoch(from, copies)
	w, err := r.prepareTakeOver(from, epoch)
	if err != nil {
		return store.Held{}, err
	}
	if held == nil { // whatever copy we start from, the subject is empty
		w.attempt.prevSeq, w.attempt.prevNonce = 0, ""
	}
	r.replaced = from.At
	led, err := r.writeAlone(ctx, pub, w)
	if err != nil {
		return store.Held{}, err
	}
	r.log.Info("leading", slog.Uint64("epoch", epoch), slog.Uint64("seq", led.Seq), slog.Uint64("events_so_far", led.Count),
		slog.String("position", led.Where()))
	return led, nil
}

// orAppeared: where there was no checkpoint and now is one, another relay was quicker,
// and what looked wrong was its work.
func (r *Relay) orAppeared(ctx context.Context, held *store.Held, err error) error {
	if held != nil {
		return err
	}
	readCtx, cancel := context.WithTimeout(ctx, r.cfg.CommitTimeout)
	defer cancel()
	now, failed := r.store.Load(readCtx)
	if failed != nil {
		return err
	}
	return fmt.Errorf("%w: %s wrote the first checkpoint meanwhile", errDeposed, now.Instance)
}

// nextEpoch is higher than every epoch that is known, also from the copies: where
// a stream lost its tail and every relay was started anew, only those remember it.
func (r *Relay) nextEpoch(from store.Held, copies []store.Copy) uint64 {
	r.mu.Lock()
	epoch := max(r.epoch, from.Epoch)
	r.mu.Unlock()
	for _, c := range copies {
		if c.Stream == r.cfg.Stream {
			epoch = max(epoch, c.Checkpoint.Epoch)
		}
	}
	return epoch + 1
}

// writeAlone commits w, which holds no events, and settles it.
func (r *Relay) writeAlone(ctx context.Context, pub *publisher, w *write) (store.Held, error) {
	started := time.Now()
	seq, err := pub.commitAndWait(ctx, w)
	if err != nil {
		seq, err = pub.settleLoop(ctx, r.store, w, err, r.settled)
	}
	var older *olderError
	if errors.As(err, &older) {
		err = fmt.Errorf("%w: %w", errDeposed, err) // it moved under us: look again
	}
	if err != nil {
		return store.Held{}, err
	}
	held := w.held(seq)
	r.committed(held, w.batch, time.Since(started))
	return held, nil
}

// startFrom returns the checkpoint to take over from. Where the stream holds
// none, that is the start policy's position for a stream that never had one, and
// the newest copy that is provably true for one that lost it.
func (r *Relay) startFrom(ctx context.Context, held *store.Held, copies []store.Copy) (store.Held, error) {
	if held != nil {
		return *held, nil
	}
	askCtx, cancel := context.WithTimeout(ctx, r.cfg.CommitTimeout)
	defer cancel()
	connection := r.store.Connection()
	state, err := r.store.State(askCtx)
	if err != nil {
		return store.Held{}, err
	}
	r.mu.Lock()
	seen := r.seen
	r.mu.Unlock()
	found, err := pickCopy(copies, r.cfg.Stream, state)
	switch {
	case err != nil:
		return store.Held{}, err
	case found != nil:
		r.log.Warn("the stream lost its checkpoint; going on from the newest copy", slog.Uint64("copy_seq", found.Seq), slog.Uint64("stream_last_seq", state.LastSeq))
		return store.Held{Checkpoint: found.Checkpoint, Seq: found.Seq, Connection: connection}, nil
	case seen:
		return store.Held{}, &checkpoint.HaltError{Problem: "the checkpoint vanished from stream " + r.cfg.Stream + " and there is no copy of it",
			Hint: hintAnew}
	}
	if err := r.refuseUsed(askCtx, state); err != nil {
		return store.Held{}, err
	}
	pos, err := r.cfg.Source.Begin(ctx)
	if err != nil {
		return store.Held{}, fmt.Errorf("find where to begin: %w", err)
	}
	return store.Held{Checkpoint: checkpoint.Checkpoint{Position: pos, From: state.LastSeq}, Connection: connection}, nil
}

// pickCopy chooses the newest copy that the stream can be continued from. No
// copies at all: nil. Copies, but none that proves where the stream stands: halt.
func pickCopy(copies []store.Copy, stream string, state store.State) (*store.Copy, error) {
	var mine, newest *store.Copy
	for i := range copies {
		c := &copies[i]
		if c.Stream != stream {
			continue
		}
		mine = c
		if c.Created.Equal(state.Created) && c.Seq <= state.LastSeq && (newest == nil || newer(c, newest)) {
			newest = c
		}
	}
	halt := func(problem string) error {
		return &checkpoint.HaltError{Problem: problem,
			Hint: "Restore what the stream held. Or: " + hintAnew}
	}
	switch {
	case mine == nil:
		return nil, nil
	case !mine.Created.Equal(state.Created):
		return nil, halt(fmt.Sprintf("stream %s was created at %s, but the checkpoint copies are of one created at %s: it was deleted and made anew",
			stream, state.Created.Format(time.RFC3339), mine.Created.Format(time.RFC3339)))
	case newest == nil:
		return nil, halt(fmt.Sprintf("stream %s ends at sequence %d, before every checkpoint copy that is kept", stream, state.LastSeq))
	case state.LastSeq > newest.Seq && state.FirstSeq > newest.Seq+1:
		return nil, halt(fmt.Sprintf("stream %s was purged up to sequence %d, so what was published behind the newest checkpoint copy (sequence %d) can't be seen any more",
			stream, state.FirstSeq-1, newest.Seq))
	}
	return newest, nil
}

// newer: the epoch decides before the sequence, since a stream that lost its
// tail counts the same sequences again in a later epoch.
func newer(a, b *store.Copy) bool {
	if a.Checkpoint.Epoch != b.Checkpoint.Epoch {
		return a.Checkpoint.Epoch > b.Checkpoint.Epoch
	}
	return a.Seq >= b.Seq
}
