package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/binjet/binjet"
)

// DefaultTable is the inbox's table unless configured otherwise.
const DefaultTable = "inbox"

// SQLConfig configures an inbox in a SQL database. The zero value is MySQL or
// MariaDB and the table "inbox" of the connection's own database.
type SQLConfig struct {
	// Table is "name" or "schema.name". Several consumers may share one table.
	// Default: [DefaultTable].
	Table string
	// Dialect is the family of the database. Default: [MySQL], which is MariaDB's too.
	Dialect Dialect
}

// SQL is a [Tx] inbox: a table with one row per consumer and message ID. It is
// safe for concurrent use and holds no connection.
//
// The row costs one INSERT and one read by primary key per message. Nothing
// removes it by itself: a row may go only when its message can't be delivered any
// more, that is, when it is older than the stream keeps messages and than
// anything you may replay. The index on created_at is there for that.
type SQL struct{ stmt statements }

// NewSQL returns an inbox; it talks to no database yet. It fails on a table
// name that is not an identifier and on an unknown dialect.
func NewSQL(cfg SQLConfig) (*SQL, error) {
	if cfg.Table == "" {
		cfg.Table = DefaultTable
	}
	if cfg.Dialect == 0 {
		cfg.Dialect = MySQL
	}
	stmt, err := newStatements(cfg.Dialect, cfg.Table)
	if err != nil {
		return nil, fmt.Errorf("inbox: %w", err)
	}
	return &SQL{stmt}, nil
}

// Schema is the statement that creates the table when it is absent, for your
// own migrations.
func (s *SQL) Schema() string { return s.stmt.schema }

// EnsureSchema creates the table when it is absent. It leaves an existing one
// as it is. Do not call it inside a transaction that matters: on MySQL and
// MariaDB it commits what is open.
func (s *SQL) EnsureSchema(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, s.stmt.schema); err != nil {
		return fmt.Errorf("inbox: create the table: %w", err)
	}
	return nil
}

// Claim implements [Tx]. It has to be the first statement of tx: that way a
// second copy of the message waits here, before it has done anything, until the
// first copy's transaction ends. When that commits, the error is [ErrDone]; when
// it rolls back, the claim is granted.
//
// It does not look into the driver's error and so works with every driver,
// wrapper and flag: when the INSERT fails, it asks whether the row is there.
// INSERT IGNORE would turn other faults into "handled before", and the count of
// affected rows of ON DUPLICATE KEY UPDATE depends on a flag of the connection.
func (s *SQL) Claim(ctx context.Context, tx *sql.Tx, consumer, id string) error {
	if err := checkMark(consumer, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, s.stmt.insert, consumer, id)
	if err == nil {
		return nil
	}
	if there, askErr := s.present(ctx, tx, consumer, id); askErr == nil && there {
		return ErrDone
	}
	return fmt.Errorf("inbox: claim message %s: %w", id, err)
}

// ErrLost is what [SQL.Confirm] returns when the claim is gone.
var ErrLost = errors.New("the claim is no longer in the transaction: it was rolled back under the handler, " +
	"as MySQL does after a deadlock; return the error of every statement from the handler")

// Confirm implements [Tx]. A handler that swallows a deadlock's error (1213)
// goes on without a transaction, and its COMMIT succeeds with nothing in it;
// this is what notices.
func (s *SQL) Confirm(ctx context.Context, tx *sql.Tx, consumer, id string) error {
	there, err := s.present(ctx, tx, consumer, id)
	switch {
	case err != nil:
		return fmt.Errorf("inbox: confirm the claim of message %s: %w", id, err)
	case !there:
		return fmt.Errorf("inbox: message %s: %w", id, ErrLost)
	}
	return nil
}

func (s *SQL) present(ctx context.Context, tx *sql.Tx, consumer, id string) (bool, error) {
	var one int
	err := tx.QueryRowContext(ctx, s.stmt.present, consumer, id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// checkMark refuses what the columns can't hold: a server without strict mode
// would cut it short, and two messages could become one.
func checkMark(consumer, id string) error {
	if err := binjet.CheckToken(consumer); err != nil {
		return fmt.Errorf("inbox: consumer name: %w", err)
	}
	if err := (&binjet.Message{ID: id, Topic: "x"}).CheckRow(); err != nil {
		return fmt.Errorf("inbox: %w", err)
	}
	return nil
}
