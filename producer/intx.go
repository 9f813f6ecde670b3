package producer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Beginner begins transactions: *sql.DB, *sql.Conn, and what embeds one of them.
type Beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

// ErrCommitUnknown is returned by [InTx] when COMMIT was answered by an error or by
// nothing, so that the transaction may or may not have been committed. A conflict
// that the server reports at commit (Galera and Group Replication do, as a deadlock)
// was rolled back: errors.As finds the driver's error. A lost connection tells nothing.
//
// To find out, look for the ID of one of its messages in the outbox table, or run
// the same thing again with the same IDs: what was committed is refused by the
// primary key, and what was not is not lost.
var ErrCommitUnknown = errors.New("outcome of the commit is unknown")

// ErrTxEnded is returned by [InTx] when fn committed or rolled back the
// transaction itself, which is InTx's to end. InTx can't tell which of the two.
var ErrTxEnded = errors.New("fn ended the transaction itself")

// InTx runs fn in a transaction of db: it commits when fn returns nil, and rolls
// back when fn returns an error (which is returned, joined with that of the
// rollback if there is one) or panics (the panic goes on). opts nil is the
// database's default isolation.
//
// fn is run once: a deadlock is the caller's to retry, by calling InTx again. fn
// must not commit or roll back. After an error that is [ErrCommitUnknown] the
// transaction may have been committed; after any other it was not, unless it is [ErrTxEnded].
func InTx(ctx context.Context, db Beginner, opts *sql.TxOptions, fn func(ctx context.Context, tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	returned := false
	defer func() {
		if !returned { // a panic or runtime.Goexit is on its way: let it
			_ = tx.Rollback()
		}
	}()
	err = fn(ctx, tx)
	returned = true
	if err != nil {
		return errors.Join(err, rollback(ctx, tx))
	}
	return commit(ctx, tx)
}

// rollback has no error when the end of ctx rolled back before it could.
func rollback(ctx context.Context, tx *sql.Tx) error {
	err := tx.Rollback()
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, sql.ErrTxDone):
		return fmt.Errorf("roll back: %w", err)
	case ctx.Err() != nil:
		return nil
	}
	return fmt.Errorf("roll back: %w: %w", ErrTxEnded, err)
}

// commit relies on what database/sql does: COMMIT is not sent when the context or
// the transaction has ended, and once sent it is not interrupted by the context.
func commit(ctx context.Context, tx *sql.Tx) error {
	err := tx.Commit()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil:
		return fmt.Errorf("commit: %w: %w", ErrTxEnded, err)
	case errors.Is(err, sql.ErrTxDone), ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return fmt.Errorf("commit: not sent, and rolled back, as the context ended first: %w", ctx.Err())
	}
	return fmt.Errorf("commit: %w: %w", ErrCommitUnknown, err)
}
