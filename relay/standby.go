package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// silence is how many heartbeats of a leader may be missed.
const silence = 3

// standBy waits until there is reason to take over: no checkpoint, a released
// one, one of our own, or one that has not changed for three heartbeats. The
// clock is our own and monotonic, and it starts anew whenever the stream could
// not be read, since the leader could not write then either. It returns nil when
// the stream holds no checkpoint.
func (r *Relay) standBy(ctx context.Context) (*store.Held, error) {
	var last store.Held
	changed := time.Now()
	tick := time.NewTicker(r.cfg.Heartbeat / 4)
	defer tick.Stop()
	for try, unread := 0, false; ; try++ {
		readCtx, cancel := context.WithTimeout(ctx, r.cfg.CommitTimeout)
		held, err := r.store.Load(readCtx)
		cancel()
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, nil
		case unusable(err):
			return nil, r.foreignCheckpoint(err)
		case err != nil && ctx.Err() == nil:
			r.unreadable(try, err)
			unread, changed = true, time.Now()
		case err != nil:
			return nil, ctx.Err()
		default:
			if unread {
				unread = false
				r.trouble("")
			}
			r.observe(held)
			if held.Released || held.Instance == r.cfg.Instance {
				return &held, nil
			}
			if held.Seq != last.Seq || held.Nonce != last.Nonce {
				last, changed = held, time.Now()
			} else if time.Since(changed) >= silence*r.cfg.Heartbeat {
				r.log.Info("the leader is silent; taking over", slog.String("leader", held.Instance),
					slog.Uint64("epoch", held.Epoch), slog.Duration("silent", time.Since(changed)))
				return &held, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// unreadable logs the first failure to read the checkpoint and then every 20th.
func (r *Relay) unreadable(try int, err error) {
	r.trouble(err.Error())
	if try%20 == 0 {
		r.log.Warn("can't read the checkpoint; trying again", slog.Any("error", err))
	}
}

func unusable(err error) bool {
	var undecodable *store.DecodeError
	return errors.As(err, &undecodable)
}

func (r *Relay) foreignCheckpoint(err error) error {
	hint := "See what else publishes to " + r.store.Subject() + ", or choose another source name"
	if errors.Is(err, checkpoint.ErrNewer) {
		hint = "Start the newer version; this one changed nothing"
	}
	return &checkpoint.HaltError{Problem: "the checkpoint of this source can't be used", Hint: hint, Cause: err}
}
