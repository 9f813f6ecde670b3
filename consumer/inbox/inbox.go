package inbox

import (
	"context"
	"database/sql"
	"errors"
)

// Why a claim was not granted.
var (
	// ErrDone says that the message was handled before: acknowledge it.
	ErrDone = errors.New("message was handled before")
	// ErrBusy says that another copy of the message is being handled now: come
	// back later to see how that ended.
	ErrBusy = errors.New("another copy of the message is being handled")
	// ErrConflict says that the database gave the transaction up in favour of
	// another one (a deadlock, a serialization failure), or let it wait no longer.
	// Nothing is wrong: roll it back and claim in a new one. It is recognised for
	// the drivers that most people use; others' errors come without it.
	ErrConflict = errors.New("the transaction lost against another one")
)

// Inbox is kept for handlers whose effects are not in a SQL transaction. It is
// safe for concurrent use.
type Inbox interface {
	// Claim takes the message for one run of its handler. The error is
	// [ErrDone] or [ErrBusy] (through errors.Is) when there is nothing to run,
	// anything else when the inbox could not be asked.
	Claim(ctx context.Context, consumer, id string) (Claim, error)
}

// Claim is one message taken for one run. Exactly one of its methods is called, once.
type Claim interface {
	// Done marks the message as handled. It is called after the handler succeeded.
	Done(ctx context.Context) error
	// Release gives the message back, so that the next copy can claim it.
	Release(ctx context.Context) error
}

// Tx is kept in the database that holds the handler's effects.
type Tx interface {
	// Claim inserts the mark in tx and waits while another transaction holds an
	// uncommitted one. The error is [ErrDone] (through errors.Is) when a
	// committed one is there. After any error tx has to be rolled back.
	Claim(ctx context.Context, tx *sql.Tx, consumer, id string) error
	// Confirm reports an error when the mark that Claim inserted is no longer
	// in tx: something rolled the transaction back under the handler, so it may
	// not be taken for committed.
	Confirm(ctx context.Context, tx *sql.Tx, consumer, id string) error
}

// BatchTx is a [Tx] that takes many messages into one transaction at the cost of
// about one statement. [SQL] is one.
type BatchTx interface {
	Tx
	// ClaimBatch inserts the marks of all ids in tx and waits while another
	// transaction holds an uncommitted one of them. fresh has one entry per ID, in
	// the order of ids: true when the mark is now tx's own and the message is to be
	// handled in tx, false when a committed mark was there. Of an ID that occurs
	// several times in ids the first is fresh and the others are not. That all are
	// known is no error. Whatever the order of ids is, marks are inserted in the
	// order of the IDs, so that batches which overlap wait for each other and do
	// not deadlock. After any error tx has to be rolled back.
	ClaimBatch(ctx context.Context, tx *sql.Tx, consumer string, ids []string) (fresh []bool, err error)
	// ConfirmBatch is Confirm for the fresh ones of ids that ClaimBatch was given:
	// an error says that at least one of their marks is no longer in tx.
	ConfirmBatch(ctx context.Context, tx *sql.Tx, consumer string, ids []string) error
}
