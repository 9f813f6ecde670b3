package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/binjet/binjet"
)

// DefaultTable is the inbox's table unless configured otherwise.
const DefaultTable = "inbox"

// batchLimit is how many marks one statement takes: SQLite's older limit is 999
// arguments.
const batchLimit = 500

// SQLConfig configures an inbox in a SQL database. The zero value is MySQL or
// MariaDB, the table "inbox" of the connection's own database, and marks that are
// kept for ever.
type SQLConfig struct {
	// Table is "name" or "schema.name", exactly as the database spells it. Several
	// consumers may share one table. Default: [DefaultTable].
	Table string
	// Dialect is the family of the database. Default: [MySQL], which is MariaDB's too.
	Dialect Dialect
	// Retention is how long a mark is kept. Older ones of a consumer are deleted
	// in the background while that consumer runs. A message that is delivered
	// again later than this is handled again, so the consumer refuses to start
	// unless it is longer than the stream keeps messages (or than what
	// consumer.Config.ReplayHorizon states). Default: 0, marks are kept for ever.
	Retention time.Duration
}

// SQL is a [Tx] and [BatchTx] inbox: a table with one row per consumer and
// message ID. It is safe for concurrent use and holds no connection.
//
// A message costs one INSERT and one read by primary key; a batch costs one of
// each per 500 messages, and one more read where some are known on MySQL and MariaDB.
type SQL struct {
	speech    speech
	table     string
	dialect   Dialect
	retention time.Duration
}

var _ BatchTx = (*SQL)(nil)

// NewSQL returns an inbox; it talks to no database yet. It fails on a table
// name that is not an identifier, an unknown dialect and a negative retention.
func NewSQL(cfg SQLConfig) (*SQL, error) {
	if cfg.Table == "" {
		cfg.Table = DefaultTable
	}
	if cfg.Dialect == 0 {
		cfg.Dialect = MySQL
	}
	if cfg.Retention < 0 {
		return nil, fmt.Errorf("inbox: Retention is %s: give a positive time, or 0 to keep marks for ever", cfg.Retention)
	}
	speech, err := newSpeech(cfg.Dialect, cfg.Table)
	if err != nil {
		return nil, fmt.Errorf("inbox: %w", err)
	}
	return &SQL{speech: speech, table: cfg.Table, dialect: cfg.Dialect, retention: cfg.Retention}, nil
}

// Retention is how long a mark is kept at least; 0 is for ever.
func (s *SQL) Retention() time.Duration { return s.retention }

// Claim implements [Tx]. It has to be the first statement of tx: that way a
// second copy of the message waits here, before it has done anything, until the
// first copy's transaction ends. When that commits, the error is [ErrDone]; when
// it rolls back, the claim is granted, or fails with [ErrConflict] where several
// had waited.
//
// "Handled before" is never taken from a driver's error or from a count of
// affected rows, which flags of a connection change: when the mark was not
// inserted, Claim asks whether it is there.
func (s *SQL) Claim(ctx context.Context, tx *sql.Tx, consumer, id string) error {
	if err := checkMarks(consumer, id); err != nil {
		return err
	}
	query, args := s.speech.spell(s.speech.claim(), consumer, id)
	result, err := tx.ExecContext(ctx, query, args...)
	var inserted int64
	if err == nil {
		inserted, err = result.RowsAffected()
	}
	if err == nil && inserted == 1 {
		return nil
	}
	if there, askErr := s.present(ctx, tx, consumer, id); askErr == nil && there {
		return ErrDone
	}
	if err == nil {
		err = fmt.Errorf("the INSERT into %s did nothing and the mark is not there: is there a trigger or a rule on the table? see SQL.Validate", s.table)
	}
	return fmt.Errorf("inbox: claim message %s: %w", id, s.explain(err))
}

// ClaimBatch implements [BatchTx]; it has to be the first statement of tx, like Claim.
func (s *SQL) ClaimBatch(ctx context.Context, tx *sql.Tx, consumer string, ids []string) ([]bool, error) {
	if err := checkMarks(consumer, ids...); err != nil {
		return nil, err
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(ids)))
	own := make(map[string]bool, len(sorted))
	for some := range slices.Chunk(sorted, batchLimit) {
		inserted, err := s.speech.claimMany(ctx, tx, consumer, some)
		if err != nil {
			return nil, fmt.Errorf("inbox: claim %d messages, %s to %s: %w", len(some), some[0], some[len(some)-1], s.explain(err))
		}
		for _, id := range inserted {
			own[id] = true
		}
	}
	fresh := make([]bool, len(ids))
	for i, id := range ids {
		fresh[i] = own[id]
		delete(own, id) // a further copy of it in this batch is a duplicate
	}
	return fresh, nil
}

// ErrLost is what [SQL.Confirm] returns when the claim is gone.
var ErrLost = errors.New("the claim is no longer in the transaction: it was rolled back under the handler, " +
	"as MySQL does after a deadlock; return the error of every statement from the handler")

// Confirm implements [Tx]. A handler that swallows a deadlock's error (1213 on
// MySQL) goes on without a transaction, and its COMMIT succeeds with nothing in
// it; this is what notices. PostgreSQL refuses every statement after an error,
// and so this one too.
func (s *SQL) Confirm(ctx context.Context, tx *sql.Tx, consumer, id string) error {
	there, err := s.present(ctx, tx, consumer, id)
	switch {
	case err != nil:
		return fmt.Errorf("inbox: confirm the claim of message %s: %w", id, s.explain(err))
	case !there:
		return fmt.Errorf("inbox: message %s: %w", id, ErrLost)
	}
	return nil
}

// ConfirmBatch implements [BatchTx].
func (s *SQL) ConfirmBatch(ctx context.Context, tx *sql.Tx, consumer string, ids []string) error {
	sorted := slices.Compact(slices.Sorted(slices.Values(ids)))
	for some := range slices.Chunk(sorted, batchLimit) {
		var there int
		query, args := s.speech.presentMany(consumer, some)
		query, args = s.speech.spell(query, args...)
		err := tx.QueryRowContext(ctx, query, args...).Scan(&there)
		switch {
		case err != nil:
			return fmt.Errorf("inbox: confirm the claims of %d messages: %w", len(some), s.explain(err))
		case there != len(some):
			return fmt.Errorf("inbox: %d of %d messages, %s to %s: %w", len(some)-there, len(some), some[0], some[len(some)-1], ErrLost)
		}
	}
	return nil
}

func (s *SQL) present(ctx context.Context, tx *sql.Tx, consumer, id string) (bool, error) {
	var one int
	query, args := s.speech.spell(s.speech.present(), consumer, id)
	err := tx.QueryRowContext(ctx, query, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// explain marks what only lost against another transaction.
func (s *SQL) explain(err error) error {
	if !conflicting(err) {
		return err
	}
	if s.dialect == SQLite {
		return fmt.Errorf("%w: %w: another connection was writing for longer than this one may wait: "+
			"give the DSN a busy timeout (see the documentation of package inbox)", ErrConflict, err)
	}
	return fmt.Errorf("%w: %w", ErrConflict, err)
}

// conflicting looks into a driver's error by what drivers have in common, so that
// none has to be imported. It decides nothing but how soon and how loudly the
// claim is tried again.
func conflicting(err error) bool {
	var coded interface{ SQLState() string } // pgx and lib/pq
	if errors.As(err, &coded) {
		switch coded.SQLState() {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return true
		}
	}
	for _, text := range []string{
		"Error 1213 ", "Error 1205 ", "Error 1020 ", // go-sql-driver: deadlock, lock wait timeout, record changed
		"SQLITE_BUSY", "database is locked", "database table is locked",
	} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// checkMarks refuses what the columns can't hold: a server without strict mode
// would cut it short, and two messages could become one.
func checkMarks(consumer string, ids ...string) error {
	if err := binjet.CheckToken(consumer); err != nil {
		return fmt.Errorf("inbox: consumer name: %w", err)
	}
	for _, id := range ids {
		if err := (&binjet.Message{ID: id, Topic: "x"}).CheckRow(); err != nil {
			return fmt.Errorf("inbox: %w", err)
		}
	}
	return nil
}
