package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/binjet/binjet/checkpoint/store"
)

// copyInterval bounds how far the copy in the bucket is behind.
const copyInterval = time.Second

// offerCopy makes held the next copy to be written; an older one that is still
// waiting is dropped.
func (r *Relay) offerCopy(held store.Held) {
	c := store.Copy{Checkpoint: held.Checkpoint, Seq: held.Seq, Stream: r.cfg.Stream}
	select {
	case <-r.copies:
	default:
	}
	r.copies <- c // the one producer has just made room
}

// copyLoop writes at most one copy a second until stop, and then the last one. A
// copy that can't be written is only logged: the stream holds the truth.
func (r *Relay) copyLoop(stop <-chan struct{}) {
	tick := time.NewTicker(copyInterval)
	defer tick.Stop()
	w := copyWriter{r: r}
	for {
		select {
		case <-tick.C:
			w.flush()
		case <-stop:
			w.flush()
			return
		}
	}
}

type copyWriter struct {
	r       *Relay
	bucket  *store.Copies
	failing bool
}

func (w *copyWriter) flush() {
	var c store.Copy
	select {
	case c = <-w.r.copies:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.r.cfg.CommitTimeout)
	defer cancel()
	err := w.write(ctx, c)
	if err != nil && !w.failing {
		w.r.log.Warn("can't write the checkpoint copy; trying on", slog.Any("error", err))
	}
	w.failing = err != nil
}

func (w *copyWriter) write(ctx context.Context, c store.Copy) (err error) {
	if w.bucket == nil {
		if w.bucket, err = store.OpenCopies(ctx, w.r.js, w.r.cfg.Name); err != nil {
			return err
		}
	}
	state, err := w.r.store.State(ctx)
	if err != nil {
		return err
	}
	if state.LastSeq < c.Seq {
		return nil // the stream was put back: this copy is of a state that is gone
	}
	c.Created = state.Created
	return w.bucket.Put(ctx, c)
}

// listCopies returns the copies; none where there is no bucket yet. It is bounded:
// a bucket that does not answer must not keep a relay from taking over.
func (r *Relay) listCopies(ctx context.Context) ([]store.Copy, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.CommitTimeout)
	defer cancel()
	bucket, err := store.OpenCopies(ctx, r.js, r.cfg.Name)
	if errors.Is(err, store.ErrNoBucket) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return bucket.List(ctx)
}
