package consumer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/runenv"
)

// runner runs a handler under its inbox. duplicate is true when the inbox knew
// the message and the handler did not run.
type runner func(ctx context.Context, msg *Message) (duplicate bool, err error)

// releaseTimeout bounds giving a claim back after a failed attempt.
const releaseTimeout = 5 * time.Second

// runPlain is claim → handler → done, or → release.
func (c *Consumer) runPlain(ctx context.Context, h Handler, msg *Message) (duplicate bool, err error) {
	var claim inbox.Claim
	err = c.insist(ctx, []*Message{msg}, func() (err error) {
		claim, err = c.cfg.Inbox.Claim(ctx, c.cfg.Name, msg.ID)
		return err
	})
	switch {
	case errors.Is(err, inbox.ErrDone):
		return true, nil
	case err != nil:
		return false, err
	}
	handled := false
	defer func() {
		if !handled {
			c.release(ctx, claim, msg)
		}
	}()
	if err := h(ctx, msg); err != nil {
		return false, err
	}
	handled = true
	if err := claim.Done(context.WithoutCancel(ctx)); err != nil {
		// The effects are there: a retry would only repeat them.
		c.log.Warn("could not mark a handled message; a duplicate of it would run again", slog.String("id", msg.ID), slog.Any("error", err))
	}
	return false, nil
}

func (c *Consumer) release(ctx context.Context, claim inbox.Claim, msg *Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := claim.Release(ctx); err != nil {
		c.log.Warn("could not release the claim of a failed message", slog.String("id", msg.ID), slog.Any("error", err))
	}
}

// txKey is where a transaction travels through the middlewares.
type txKey struct{}

func txFrom(ctx context.Context) (*sql.Tx, error) {
	tx, ok := ctx.Value(txKey{}).(*sql.Tx)
	if !ok {
		return nil, errors.New("a middleware did not pass on the context it was given: the transaction is missing from it")
	}
	return tx, nil
}

// runTx is begin → claim → handler → commit, or → rollback.
func (c *Consumer) runTx(ctx context.Context, db *sql.DB, h Handler, msg *Message) (duplicate bool, err error) {
	var tx *sql.Tx
	err = c.insist(ctx, []*Message{msg}, func() (err error) {
		tx, err = c.beginClaimed(ctx, db, msg)
		return err
	})
	switch {
	case errors.Is(err, inbox.ErrDone):
		return true, nil
	case err != nil:
		return false, err
	}
	defer rollback(tx) // after a commit this does nothing
	if err := h(context.WithValue(ctx, txKey{}, tx), msg); err != nil {
		return false, err
	}
	if err := c.cfg.TxInbox.Confirm(ctx, tx, c.cfg.Name, msg.ID); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("commit, outcome unknown until the inbox is asked at the retry: %w", err)
	}
	return false, nil
}

// beginClaimed returns a transaction that holds the claim, and none with an error.
func (c *Consumer) beginClaimed(ctx context.Context, db *sql.DB, msg *Message) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, c.cfg.TxOptions)
	if err != nil {
		return nil, fmt.Errorf("begin the transaction: %w", err)
	}
	if err := c.cfg.TxInbox.Claim(ctx, tx, c.cfg.Name, msg.ID); err != nil {
		rollback(tx)
		return nil, err
	}
	return tx, nil
}

// rollback drops the error: a transaction that can't be rolled back ends with
// its connection.
func rollback(tx *sql.Tx) { _ = tx.Rollback() }

// quickClaims is how often a claim that lost against another transaction is made
// again at once. Copies that waited for one that failed lose like that.
const quickClaims = 5

// insist asks the inbox until it answers. While it can't (its database is down,
// its table is missing, a lock was not granted) the messages wait here, alive on
// the broker and without a redelivery: the consumer pauses, one worker after the
// other, and no outage of the inbox turns messages into dead letters. The error
// is inbox.ErrDone, inbox.ErrBusy, or errNotRun when Run ended meanwhile.
func (c *Consumer) insist(ctx context.Context, msgs []*Message, ask func() error) error {
	for n := 1; ; n++ {
		err := ask()
		if err == nil || errors.Is(err, inbox.ErrDone) || errors.Is(err, inbox.ErrBusy) {
			return err
		}
		level, said, wait := slog.LevelError, "the inbox can't be asked; the message waits and no attempt is counted", c.cfg.Backoff.delay(n)
		if errors.Is(err, inbox.ErrConflict) && n <= quickClaims {
			level, said = slog.LevelDebug, "the claim lost against another transaction and is made again"
			wait = time.Duration(n) * rand.N(10*time.Millisecond)
		}
		c.log.LogAttrs(ctx, level, said, append(msgs[0].attrs(), slog.Int("messages", len(msgs)), slog.Any("error", err), slog.Duration("again_in", wait))...)
		for _, msg := range msgs {
			c.cfg.Hooks.waiting(msg, err)
		}
		select {
		case <-time.After(wait):
		case <-runenv.From(ctx).Stopping:
			return fmt.Errorf("%w: %w", errNotRun, err)
		}
	}
}
