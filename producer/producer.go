package producer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"github.com/binjet/binjet"
)

// Execer is all that [Producer.Insert] asks of a transaction. *sql.Tx, *sql.Conn
// and *sql.DB are Execers.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// ErrNotAtomic is returned when an insert needs several statements and tx is a
// connection pool, which would commit each of them by itself. Nothing was inserted.
var ErrNotAtomic = errors.New("an insert of several statements needs a transaction")

// Producer inserts messages into one outbox table. Make it once, with [New]; it
// keeps no connection and is safe for use by several goroutines.
type Producer struct {
	cfg      Config
	ids      *uuidv7 // nil when Config.NewID makes the IDs
	table    string  // quoted
	stmt     statement
	remove   *removal  // nil unless rows are deleted in the transaction
	prepared *prepared // nil without Prepare
}

// New makes a Producer. It reports every fault of cfg at once, and does not look
// at a database: whether the table exists shows at the first insert.
func New(cfg Config) (*Producer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("producer config: %w", err)
	}
	table, err := binjet.QuoteTable(cfg.Table)
	if err != nil {
		return nil, fmt.Errorf("producer config: %w", err)
	}
	p := &Producer{cfg: cfg, table: table, stmt: newStatement(table)}
	if cfg.NewID == nil {
		p.ids = new(uuidv7)
	}
	if cfg.Retain == DeleteInTransaction {
		p.remove = newRemoval(table)
	}
	return p, nil
}

// Insert inserts msgs, in their order, into the outbox table through tx. They are
// published if and only if that transaction commits. Insert never commits or
// rolls back. No messages are no error.
//
// Every fault of every message is reported at once, before anything is sent;
// errors.Is(err, [binjet.ErrInvalid]) tells such an error from the database's.
// After any error roll the transaction back: if the messages needed several
// statements, those before the failed one have inserted theirs.
//
// A message without an ID is given one, which stays in it. So the same message
// inserted again, as after a lost connection, is refused by the primary key
// instead of being published twice; a new event wants a new Message. Nothing else
// of a message is changed, and nothing of it is kept.
//
// With a *sql.DB (or what embeds one) for tx the messages are a transaction of
// their own, if one statement is all it takes, else the error is [ErrNotAtomic]. A
// *sql.Conn is taken to be inside of a transaction; outside of one, statements of
// a split insert are committed one by one.
func (p *Producer) Insert(ctx context.Context, tx Execer, msgs ...*binjet.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	if tx == nil {
		return fmt.Errorf("insert into %s: tx is nil", p.table)
	}
	args, err := p.rows(ctx, msgs)
	if err != nil {
		return fmt.Errorf("insert into %s refused: %w", p.table, err)
	}
	n := split(args, p.cfg.MaxStatementBytes)
	if err := p.checkAtomic(tx, len(msgs), n); err != nil {
		return err
	}
	for done := 0; ; n = split(args, p.cfg.MaxStatementBytes) {
		if err := p.exec(ctx, tx, n, args[:n*columns]); err != nil {
			return fmt.Errorf("insert into %s, messages %d to %d of %d: %w", p.table, done+1, done+n, len(msgs), err)
		}
		done, args = done+n, args[n*columns:]
		if len(args) == 0 {
			return nil
		}
	}
}

// checkAtomic refuses a pool where one statement, for n of the messages, is not all.
func (p *Producer) checkAtomic(tx Execer, messages, n int) error {
	switch {
	case n == messages && p.remove == nil || !isPool(tx):
		return nil
	case p.remove != nil:
		return fmt.Errorf("insert into %s, and delete in the same transaction: %w: begin one", p.table, ErrNotAtomic)
	}
	return fmt.Errorf("insert into %s: %d messages, of which %d fit in one statement: %w: begin one, or insert fewer at a time",
		p.table, messages, n, ErrNotAtomic)
}

// exec inserts n rows by a statement kept by Prepare if there is one, else by its
// text, and deletes them again if they are not to stay.
func (p *Producer) exec(ctx context.Context, tx Execer, n int, args []any) error {
	if _, err := execKept(ctx, tx, p.prepared.insert(ctx, tx, n), func() string { return p.stmt.text(n) }, args); err != nil || p.remove == nil {
		return err
	}
	return p.delete(ctx, tx, args)
}

// execKept runs a kept statement, or where there is none its text.
func execKept(ctx context.Context, tx Execer, kept *sql.Stmt, text func() string, args []any) (sql.Result, error) {
	if kept != nil {
		return kept.ExecContext(ctx, args...)
	}
	return tx.ExecContext(ctx, text(), args...)
}

// isPool reports whether tx commits each statement by itself: a *sql.DB, what
// embeds one, and what the libraries have in its place (gorm's PreparedStmtDB,
// ent's Client), which can begin a transaction and can't end one. A *sql.Conn
// looks the same and may be in one. It is asked only when an insert is split.
func isPool(tx Execer) bool {
	switch tx.(type) {
	case interface{ Commit() error }, *sql.Conn:
		return false
	case interface{ SetMaxOpenConns(int) }:
		return true
	}
	_, begins := reflect.TypeOf(tx).MethodByName("BeginTx")
	return begins
}
