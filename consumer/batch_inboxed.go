package consumer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/binjet/binjet/consumer/inbox"
)

// runPlainBatch is claim each → handler → done each, or → release.
func (c *Consumer) runPlainBatch(ctx context.Context, h BatchHandler, msgs []*Message) (ends []error, err error) {
	ends = make([]error, len(msgs))
	claims := make([]inbox.Claim, len(msgs))
	defer func() {
		for i, claim := range claims {
			if claim != nil {
				c.release(ctx, claim, msgs[i])
			}
		}
	}()
	for i, msg := range msgs {
		err := c.insist(ctx, msgs[i:i+1], func() (err error) {
			claims[i], err = c.cfg.Inbox.Claim(ctx, c.cfg.Name, msg.ID)
			return err
		})
		if errors.Is(err, errNotRun) {
			return ends, err
		}
		ends[i] = err // ErrDone or ErrBusy
	}
	fresh := unended(msgs, ends)
	if len(fresh) == 0 {
		return ends, nil
	}
	failed, err := named(h(ctx, fresh), fresh)
	if err != nil {
		return ends, err
	}
	for i, msg := range msgs {
		if claims[i] == nil {
			continue
		}
		if ends[i] = failed[msg.ID]; ends[i] != nil {
			continue
		}
		if err := claims[i].Done(context.WithoutCancel(ctx)); err != nil {
			c.log.Warn("could not mark a handled message; a duplicate of it would run again", slog.String("id", msg.ID), slog.Any("error", err))
		}
		claims[i] = nil
	}
	return ends, nil
}

// unended are the messages about which nothing is certain yet.
func unended(msgs []*Message, ends []error) []*Message {
	fresh := make([]*Message, 0, len(msgs))
	for i, msg := range msgs {
		if ends[i] == nil {
			fresh = append(fresh, msg)
		}
	}
	return fresh
}

// named reads what a handler of batches returned: which messages failed by
// themselves, or an error about all.
func named(err error, msgs []*Message) (BatchError, error) {
	var some BatchError
	if !errors.As(err, &some) {
		return nil, err
	}
	failed := make(BatchError, len(some))
	for _, msg := range msgs {
		if err := some[msg.ID]; err != nil {
			failed[msg.ID] = err
		}
	}
	for id, err := range some {
		if err != nil && failed[id] == nil {
			return nil, fmt.Errorf("the handler names message %q, which it was not given, so it is unknown which failed: %w", id, err)
		}
	}
	return failed, nil
}

// runTxBatch is begin → claim all → handler → commit, or → rollback.
func (c *Consumer) runTxBatch(ctx context.Context, db *sql.DB, h BatchHandler, msgs []*Message) (ends []error, err error) {
	ends = make([]error, len(msgs))
	var tx *sql.Tx
	err = c.insist(ctx, msgs, func() (err error) {
		tx, err = c.beginBatch(ctx, db, msgs, ends)
		return err
	})
	if err != nil || tx == nil {
		return ends, err
	}
	defer rollback(tx) // after a commit this does nothing
	fresh := unended(msgs, ends)
	failed, err := named(h(context.WithValue(ctx, txKey{}, tx), fresh), fresh)
	if err != nil {
		return ends, err
	}
	if len(failed) > 0 {
		for i, msg := range msgs {
			if err := failed[msg.ID]; err != nil {
				ends[i] = err
			}
		}
		return ends, errWithout
	}
	if err := c.confirmBatch(ctx, tx, fresh); err != nil {
		return ends, err
	}
	if err := tx.Commit(); err != nil {
		return ends, fmt.Errorf("commit, outcome unknown until the inbox is asked again: %w", err)
	}
	return ends, nil
}

// beginBatch returns a transaction that holds the claims of all messages but
// those that ends says something about, and none when there are no others.
func (c *Consumer) beginBatch(ctx context.Context, db *sql.DB, msgs []*Message, ends []error) (*sql.Tx, error) {
	clear(ends)
	in, bulk := c.cfg.TxInbox.(inbox.BatchTx)
	if !bulk {
		return c.beginOneByOne(ctx, db, msgs, ends)
	}
	tx, err := db.BeginTx(ctx, c.cfg.TxOptions)
	if err != nil {
		return nil, fmt.Errorf("begin the transaction: %w", err)
	}
	fresh, err := in.ClaimBatch(ctx, tx, c.cfg.Name, ids(msgs))
	if err != nil {
		rollback(tx)
		return nil, err
	}
	for i := range msgs {
		if !fresh[i] {
			ends[i] = inbox.ErrDone
		}
	}
	if !slices.Contains(fresh, true) {
		rollback(tx)
		return nil, nil
	}
	return tx, nil
}

// beginOneByOne is for an inbox that can't claim in bulk. All processes claim in
// the order of the IDs, so that batches which overlap wait for each other and
// never in a circle. A claim that is refused may have spoiled the transaction,
// which is therefore begun anew without that message.
func (c *Consumer) beginOneByOne(ctx context.Context, db *sql.DB, msgs []*Message, ends []error) (*sql.Tx, error) {
	order := make([]int, len(msgs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(msgs[a].ID, msgs[b].ID) })
	for len(order) > 0 {
		tx, err := db.BeginTx(ctx, c.cfg.TxOptions)
		if err != nil {
			return nil, fmt.Errorf("begin the transaction: %w", err)
		}
		refused, err := c.claimInOrder(ctx, tx, msgs, order)
		if err == nil {
			return tx, nil
		}
		rollback(tx)
		if !errors.Is(err, inbox.ErrDone) && !errors.Is(err, inbox.ErrBusy) {
			return nil, err
		}
		ends[order[refused]] = err
		order = slices.Delete(order, refused, refused+1)
	}
	return nil, nil
}

// claimInOrder says at which place of order it was refused.
func (c *Consumer) claimInOrder(ctx context.Context, tx *sql.Tx, msgs []*Message, order []int) (refused int, err error) {
	for at, i := range order {
		if err := c.cfg.TxInbox.Claim(ctx, tx, c.cfg.Name, msgs[i].ID); err != nil {
			return at, err
		}
	}
	return 0, nil
}

// confirmBatch asks for every mark: where the transaction was lost, the process
// that it clashed with may have committed some of them.
func (c *Consumer) confirmBatch(ctx context.Context, tx *sql.Tx, fresh []*Message) error {
	if in, ok := c.cfg.TxInbox.(inbox.BatchTx); ok {
		return in.ConfirmBatch(ctx, tx, c.cfg.Name, ids(fresh))
	}
	for _, msg := range fresh {
		if err := c.cfg.TxInbox.Confirm(ctx, tx, c.cfg.Name, msg.ID); err != nil {
			return err
		}
	}
	return nil
}

func ids(msgs []*Message) []string {
	ids := make([]string, len(msgs))
	for i, msg := range msgs {
		ids[i] = msg.ID
	}
	return ids
}
