package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/pause"
)

// Errors of [Relay.Hold] and [Relay.Found].
var (
	// ErrNoCheckpoint: the stream holds none for this source. [Relay.Found] writes one.
	ErrNoCheckpoint = errors.New("the stream holds no checkpoint of this source")
	// ErrCheckpointExists: there is one. [Relay.Hold] may change it.
	ErrCheckpointExists = errors.New("the stream holds a checkpoint of this source already")
	// ErrHoldLost: another relay has taken over meanwhile. Nothing was set.
	ErrHoldLost = errors.New("another relay has taken the checkpoint over meanwhile: nothing was set")
)

// Hold is a checkpoint in the hands of an operator: nobody publishes while it is
// held, and its position does not move. It is a leader that only writes heartbeats,
// so a process that dies with it loses nothing: a relay takes over after three of
// them. It ends with [Hold.Set] or [Hold.Release], one of which must be called.
type Hold struct {
	relay *Relay
	pub   *publisher
	stop  context.CancelFunc // no more heartbeats
	cut   context.CancelFunc // nor the one that is under way
	done  chan struct{}

	behind Behind

	mu   sync.Mutex
	held store.Held
	lost error
}

// Hold takes the checkpoint over as a relay would: by a compare-and-set with a higher
// epoch and the same position, after which the broker refuses every write of a relay
// that leads. The Relay must not be in [Relay.Run]. The error is [ErrNoCheckpoint]
// where there is nothing to hold.
func (r *Relay) Hold(ctx context.Context) (*Hold, error) {
	if err := CheckServer(r.cfg.Conn); err != nil {
		return nil, err
	}
	pub, err := newPublisher(r.cfg.Conn, r.store.Subject(), r.cfg.CommitTimeout)
	if err != nil {
		return nil, err
	}
	held, err := r.seize(ctx, pub)
	if err != nil {
		pub.close()
		return nil, fmt.Errorf("hold the checkpoint of source %s: %w", r.cfg.Name, err)
	}
	beating, cut := context.WithCancel(context.WithoutCancel(ctx))
	running, stop := context.WithCancel(beating)
	h := &Hold{relay: r, pub: pub, stop: stop, cut: cut, done: make(chan struct{}), held: held}
	go h.keep(beating, running.Done())
	if h.behind, err = r.lookBehind(ctx, held, held.Seq, true); err != nil {
		return nil, errors.Join(fmt.Errorf("hold the checkpoint of source %s: %w", r.cfg.Name, err), h.Release(context.WithoutCancel(ctx)))
	}
	return h, nil
}

// seize tries again while a leader that writes all the time is quicker.
func (r *Relay) seize(ctx context.Context, pub *publisher) (store.Held, error) {
	copies, err := r.listCopies(ctx)
	if err != nil {
		return store.Held{}, err
	}
	for try := 0; ; try++ {
		held, err := r.load(ctx)
		if err != nil {
			return held, err
		}
		w, err := r.prepareTakeOver(held, r.nextEpoch(held, copies))
		if err != nil {
			return held, err
		}
		mine, err := r.writeAlone(ctx, pub, w)
		if !errors.Is(err, errDeposed) {
			return mine, err
		}
		if err := pause.For(ctx, backoff(min(try, 2))); err != nil {
			return held, err
		}
	}
}

// load is for an operator: there has to be a checkpoint.
func (r *Relay) load(ctx context.Context) (store.Held, error) {
	held, err := r.store.Load(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return held, ErrNoCheckpoint
	}
	return held, err
}

// keep writes heartbeats until the hold ends, or another one has taken over.
func (h *Hold) keep(ctx context.Context, stopped <-chan struct{}) {
	defer close(h.done)
	tick := time.NewTicker(h.relay.cfg.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-stopped:
			return
		case <-tick.C:
		}
		h.mu.Lock()
		_, err := h.write(ctx, checkpoint.Checkpoint{Position: h.held.Position, From: h.held.TrueAt(h.held.Seq)}, 0)
		if err != nil && ctx.Err() == nil {
			h.lost = err
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// write stores a checkpoint behind the one that is held, which counts so many events
// more. h.mu is held.
func (h *Hold) write(ctx context.Context, c checkpoint.Checkpoint, events int) (store.Held, error) {
	if h.lost != nil {
		return h.held, h.lost
	}
	c.Epoch = h.held.Epoch
	w, err := h.relay.sealBehind(&batch{pos: c.Position}, h.held, c, events)
	if err != nil {
		return h.held, err
	}
	held, err := h.relay.writeAlone(ctx, h.pub, w)
	switch {
	case errors.Is(err, errDeposed):
		return h.held, fmt.Errorf("%w: %w", ErrHoldLost, err)
	case err != nil:
		return h.held, err
	}
	h.held = held
	return held, nil
}

// Held is the checkpoint as it is held.
func (h *Hold) Held() store.Held {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// Behind says what lies in the stream behind the position that is held.
func (h *Hold) Behind() Behind { return h.behind }

// Set moves the position and lets go, so that any relay may go on from there at
// once. What the stream holds is not looked at: events behind a position further
// back are published again under the IDs they had, and those that a position further
// on passes over are never published; those of [Hold.Behind] come again too where the
// position moves and does not pass over them. note says who and why; its other fields are
// set here. Whether the source can be read from there is for the caller to verify.
//
// On an error nothing was set, but where it is one of the connection: then read the
// checkpoint again.
func (h *Hold) Set(ctx context.Context, to checkpoint.Position, note checkpoint.Set) (store.Held, error) {
	return h.end(ctx, func(held store.Held) checkpoint.Checkpoint {
		note.At, note.From, note.To = time.Now().UTC(), held.Where(), to.Where()
		c := checkpoint.Checkpoint{Position: to, Released: true, Set: &note}
		if note.From == note.To { // it does not move
			c.From = held.TrueAt(held.Seq)
		}
		return c
	})
}

// Release lets go without a change.
func (h *Hold) Release(ctx context.Context) error {
	_, err := h.end(ctx, func(held store.Held) checkpoint.Checkpoint {
		return checkpoint.Checkpoint{Position: held.Position, From: held.TrueAt(held.Seq), Released: true}
	})
	return err
}

func (h *Hold) end(ctx context.Context, last func(store.Held) checkpoint.Checkpoint) (store.Held, error) {
	// A heartbeat that is under way has to be settled: one that is cut off may be stored all
	// the same, and then what is written behind it is refused as if another relay had.
	h.stop()
	cutOff := context.AfterFunc(ctx, h.cut)
	<-h.done
	cutOff()
	h.cut()
	defer h.pub.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	c, events := last(h.held), 0
	if c.From == 0 { // what lies behind the position is counted, and passed over or repeated
		events = h.behind.Events
	}
	held, err := h.write(ctx, c, events)
	if err != nil {
		return held, fmt.Errorf("write the checkpoint of source %s: %w", h.relay.cfg.Name, err)
	}
	h.relay.copyNow(ctx, held)
	return held, nil
}

// copyNow writes a copy at once; the stream holds the truth, so a failure is only logged.
func (r *Relay) copyNow(ctx context.Context, held store.Held) {
	w := copyWriter{r: r}
	if err := w.write(ctx, store.Copy{Checkpoint: held.Checkpoint, Seq: held.Seq, Stream: r.cfg.Stream}); err != nil {
		r.log.Warn("can't write the checkpoint copy; the relay that leads next writes one", slog.Any("error", err))
	}
}

// Found writes the first checkpoint of a source into a stream that holds none, from
// one that was saved, and lets go of it. at says where it was saved: in this very
// stream, the events behind it are compared with the source by the relay that goes on,
// and not published again. Into another stream it is put only if that has no events
// of the source, whose relation to the position nobody could tell. The error is
// [ErrCheckpointExists] where there is one.
func (r *Relay) Found(ctx context.Context, at store.Copy, note checkpoint.Set) (store.Held, error) {
	fail := func(err error) (store.Held, error) {
		return store.Held{}, fmt.Errorf("found the checkpoint of source %s: %w", r.cfg.Name, err)
	}
	if err := CheckServer(r.cfg.Conn); err != nil {
		return fail(err)
	}
	switch _, err := r.store.Load(ctx); {
	case err == nil:
		return fail(ErrCheckpointExists)
	case !errors.Is(err, store.ErrNotFound):
		return fail(err)
	}
	state, err := r.store.State(ctx)
	if err != nil {
		return fail(err)
	}
	c := checkpoint.Checkpoint{Position: at.Checkpoint.Position, Released: true}
	if at.Stream == r.cfg.Stream && at.Created.Equal(state.Created) && at.Seq <= state.LastSeq {
		c.From = at.Checkpoint.TrueAt(at.Seq)
	} else if err := r.refuseUsed(ctx, state); err != nil {
		return fail(err)
	}
	note.At, note.To = time.Now().UTC(), c.Where()
	c.Set = &note
	held, err := r.plant(ctx, c, at)
	if err != nil {
		return fail(err)
	}
	r.copyNow(ctx, held)
	return held, nil
}

// plant stores the first checkpoint, on the condition that there is none.
func (r *Relay) plant(ctx context.Context, c checkpoint.Checkpoint, saved store.Copy) (store.Held, error) {
	pub, err := newPublisher(r.cfg.Conn, r.store.Subject(), r.cfg.CommitTimeout)
	if err != nil {
		return store.Held{}, err
	}
	defer pub.close()
	copies, err := r.listCopies(ctx)
	if err != nil {
		return store.Held{}, err
	}
	from := store.Held{Checkpoint: saved.Checkpoint}
	c.Epoch = r.nextEpoch(from, copies)
	w, err := r.seal(&batch{pos: c.Position}, from, c)
	if err != nil {
		return store.Held{}, err
	}
	w.attempt.prevSeq, w.attempt.prevNonce = 0, ""
	held, err := r.writeAlone(ctx, pub, w)
	if errors.Is(err, errDeposed) {
		err = fmt.Errorf("%w: %w", ErrCheckpointExists, err)
	}
	return held, err
}
