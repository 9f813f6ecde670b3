package prune

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/outboxtable"
	"github.com/binjet/binjet/internal/pause"
)

const (
	// windowBatches is how many batches one proof is for: a horizon may take a
	// heartbeat of the relay to be covered, and each DELETE makes it another one.
	windowBatches = 20
	pageRows      = 1000
	// poll is between two looks at the checkpoint.
	poll = 100 * time.Millisecond
	// lockTries is how often a batch is tried whose rows somebody has locked.
	lockTries = 5
)

// source is what a round asks of the server: a [session], or in tests a model of one.
type source interface {
	// cutoff is the server's time less keep.
	cutoff(ctx context.Context, keep time.Duration) (time.Time, error)
	// page returns the rows behind after (nil: from the first on) in the order of the ID.
	page(ctx context.Context, t table, after any, limit int, cutoff time.Time) ([]row, error)
	// horizon is of the kind of at.
	horizon(ctx context.Context, at checkpoint.Position) (Horizon, error)
	// remove deletes those of the rows that are older than cutoff.
	remove(ctx context.Context, t table, ids []any, cutoff time.Time) (int64, error)
}

// row is one of an outbox table.
type row struct {
	id      any // string, or []byte where the column is binary
	created time.Time
	old     bool
}

// table is an outbox table as it is on the server.
type table struct {
	name, quoted string
	index        string // the unique one of the ID alone
	binary       bool   // the ID is no text
	skip         string // why there is nothing to prune
	partitions   []outboxtable.Partition
}

// round is one round on one session.
type round struct {
	*Pruner
	source source
	last   Horizon
}

// sweep goes through a table in the order of the ID.
func (r *round) sweep(ctx context.Context, t table, report *TableReport) error {
	cutoff, err := r.source.cutoff(ctx, r.cfg.Keep)
	if err != nil {
		return err
	}
	report.Before = cutoff
	w := walk{keep: r.cfg.Keep, cutoff: cutoff}
	for !w.done {
		ids, err := r.window(ctx, t, &w)
		if err != nil {
			return err
		}
		report.Oldest = w.oldest
		if len(ids) == 0 {
			continue
		}
		h, err := r.prove(ctx, t, ids)
		if err != nil {
			return err
		}
		if err := r.clear(ctx, t, ids, cutoff, h, report); err != nil {
			return err
		}
	}
	return nil
}

// window reads on until it has the old rows of some batches, or the table ends.
func (r *round) window(ctx context.Context, t table, w *walk) (ids []any, err error) {
	for !w.done && len(ids) < windowBatches*r.batchRows() {
		rows, err := r.source.page(ctx, t, w.after, pageRows, w.cutoff)
		if err != nil {
			return nil, fmt.Errorf("look for old rows: %w", err)
		}
		ids = append(ids, w.take(rows)...)
	}
	return ids, nil
}

// prove waits until the stream holds everything that the server held after ids
// were seen there.
func (r *round) prove(ctx context.Context, t table, ids []any) (h Horizon, err error) {
	at, err := r.published(ctx)
	if err != nil {
		return h, err
	}
	if h, err = r.source.horizon(ctx, at); err != nil {
		return h, err
	}
	if h.revokes(r.last) {
		return h, fmt.Errorf("the server no longer has all that it had when the round began: its binlogs were reset, or it is another one")
	}
	r.last = h
	if r.cfg.Hooks.Selected != nil {
		r.cfg.Hooks.Selected(t.name, text(ids), h)
	}
	for begun := time.Now(); ; {
		at, err := r.published(ctx)
		if err == nil {
			lacks := h.Lacks(at)
			if lacks == "" {
				return h, nil
			}
			err = fmt.Errorf("%w: its checkpoint lacks %s", ErrBehind, lacks)
		}
		if time.Since(begun) >= r.cfg.Patience || pause.For(ctx, poll) != nil {
			return h, err
		}
		if !r.cfg.Active() {
			return h, ErrInactive
		}
	}
}

// clear deletes the rows in batches, for as long as the stream holds the proof.
func (r *round) clear(ctx context.Context, t table, ids []any, cutoff time.Time, h Horizon, report *TableReport) error {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), r.batchRows())]
		ids = ids[len(batch):]
		if err := r.allowed(ctx, h); err != nil {
			return err
		}
		if r.cfg.DryRun {
			report.Rows += int64(len(batch))
			continue
		}
		begun := time.Now()
		n, err := r.remove(ctx, t, batch, cutoff, h)
		if err != nil {
			return fmt.Errorf("delete %d rows: %w", len(batch), err)
		}
		report.Rows += n
		if r.cfg.Hooks.Deleted != nil {
			r.cfg.Hooks.Deleted(t.name, n, time.Since(begun))
		}
		if err := r.rest(ctx, pauseOf); err != nil {
			return err
		}
	}
	return nil
}

// allowed looks again whether the stream holds what it held.
func (r *round) allowed(ctx context.Context, h Horizon) error {
	if !r.cfg.Active() {
		return ErrInactive
	}
	at, err := r.published(ctx)
	if err != nil {
		return err
	}
	if lacks := h.Lacks(at); lacks != "" {
		return fmt.Errorf("%w any more: it lost its newest data, %s", ErrBehind, lacks)
	}
	return nil
}

// Errors of the server that say that somebody else has a lock.
const (
	errLockWait = 1205
	errDeadlock = 1213
)

// remove deletes one batch, and gives way to whoever has locked a row of it.
func (r *round) remove(ctx context.Context, t table, ids []any, cutoff time.Time, h Horizon) (n int64, err error) {
	for try := 1; ; try++ {
		n, err = r.source.remove(ctx, t, ids, cutoff)
		code := r.cfg.ErrorCode(err)
		if err == nil || code != errLockWait && code != errDeadlock || try == lockTries {
			return n, err
		}
		r.log.Debug("old rows are locked by somebody; waiting", slog.String("table", t.name), slog.Any("error", err))
		if err := pause.For(ctx, time.Duration(try)*time.Second); err != nil {
			return 0, err
		}
		if err := r.allowed(ctx, h); err != nil {
			return 0, err
		}
	}
}

func text(ids []any) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		switch id := id.(type) {
		case string:
			list[i] = id
		case []byte:
			list[i] = string(id)
		}
	}
	return list
}
