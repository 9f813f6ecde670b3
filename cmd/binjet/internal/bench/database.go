package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/pause"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/relay"
)

// topUp is how many events a transaction has that only makes the backlog longer.
const topUp = 10

// writing inserts events in transactions of n, and times the commits. sent, where it is
// set, is told each ID just before its COMMIT is sent.
type writing struct {
	*run
	out    *producer.Producer
	n      int
	sent   func(id string, at time.Time)
	commit sample // COMMIT alone
	whole  sample // BEGIN to the answer to COMMIT
	events atomic.Int64
}

func (b *run) writing(n int) (*writing, error) {
	out, err := producer.New(producer.Config{Table: b.Schema + "." + Table})
	return &writing{run: b, out: out, n: n}, err
}

// transaction is one.
func (w *writing) transaction(ctx context.Context) error {
	msgs := make([]*binjet.Message, w.n)
	for i := range msgs {
		msgs[i] = &binjet.Message{Topic: topic, Payload: w.payload}
	}
	begun := time.Now()
	tx, err := w.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := w.out.Insert(ctx, tx, msgs...); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	sent := time.Now()
	if w.sent != nil {
		w.sent(msgs[0].ID, sent)
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	now := time.Now()
	w.commit.add(now.Sub(sent))
	w.whole.add(now.Sub(begun))
	w.events.Add(int64(w.n))
	return nil
}

// all runs next on every writer until it says no, fails, or ctx ends.
func (w *writing) all(ctx context.Context, next func() (at time.Time, more bool)) (took time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun := time.Now()
	var wg sync.WaitGroup
	for range w.Writers {
		wg.Go(func() {
			for {
				at, more := next()
				if !more || !until(ctx, at) {
					return
				}
				if err := w.transaction(ctx); err != nil {
					cancel(fmt.Errorf("insert into %s.%s: %w", w.Schema, Table, err))
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begun), context.Cause(ctx)
}

// until waits for a point in time; false if ctx ends first.
func until(ctx context.Context, at time.Time) bool {
	return pause.For(ctx, time.Until(at)) == nil
}

// database: single rows, as fast as all writers commit; then more rows until the backlog is long enough.
func (b *run) database(ctx context.Context) error {
	b.Progress("database: %d writers commit single rows for %s", b.Writers, b.Duration)
	w, err := b.writing(1)
	if err != nil {
		return err
	}
	end := time.Now().Add(b.Duration)
	took, err := w.all(ctx, func() (time.Time, bool) { now := time.Now(); return now, now.Before(end) })
	if err != nil {
		return err
	}
	single := int(w.events.Load())
	b.report.Database = Database{CommitsPerSecond: perSecond(single, took), Commit: w.commit.latency(), Transaction: w.whole.latency()}
	b.report.Backlog = single
	missing := b.Rows - single
	if missing <= 0 {
		return nil
	}
	b.Progress("database: %d rows more, for a backlog of %d", missing, b.Rows)
	if w, err = b.writing(topUp); err != nil {
		return err
	}
	var begun atomic.Int64
	if _, err := w.all(ctx, func() (time.Time, bool) { return time.Time{}, begun.Add(topUp) <= int64(missing)+topUp-1 }); err != nil {
		return err
	}
	b.report.Backlog += int(w.events.Load())
	return nil
}

// errEnough ends a reading.
var errEnough = errors.New("enough was read")

// read reads the backlog without publishing it.
func (b *run) read(ctx context.Context, reader relay.Source, begin checkpoint.Position) error {
	b.Progress("reading alone: %d rows", b.report.Backlog)
	var first, last time.Time
	n, before := 0, 0
	err := reader.Stream(ctx, begin.Clone(), func(tx *checkpoint.Transaction) error {
		if len(tx.Messages) == 0 {
			return nil
		}
		last = time.Now()
		if n += len(tx.Messages); first.IsZero() {
			first, before = last, n
		}
		if n >= b.report.Backlog {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		return fmt.Errorf("read the backlog: %w", errors.Join(err, ctx.Err()))
	}
	b.report.EndToEnd.ReadPerSecond = perSecond(n-before, last.Sub(first))
	return nil
}
