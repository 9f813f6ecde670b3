package producer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// prepared are the statements of one database, by their number of rows.
type prepared struct {
	db       *sql.DB
	inserts  map[int]*sql.Stmt
	removals map[int]*sql.Stmt // of rows that are deleted in the transaction
}

// Prepare returns a Producer like p that keeps prepared statements in db: for
// inserts of one message, or of the numbers of messages that are given. Such an
// insert, through db or a transaction of it (one of sqlx, bun or gorm too), is then
// one round trip, and the server does not parse it; any other is as p's. It is for
// services that insert often and don't have interpolateParams=true in their DSN.
//
// Prepare it at start, before transactions hold the connections, and [Producer.Close]
// it at the end. Each connection prepares a statement when it first needs it; the
// server counts these against max_prepared_stmt_count. Danger: a transaction of
// another database (*sql.DB) than db is refused by an error of database/sql.
func (p *Producer) Prepare(ctx context.Context, db *sql.DB, messages ...int) (*Producer, error) {
	if len(messages) == 0 {
		messages = []int{1}
	}
	kept := *p
	kept.prepared = &prepared{db: db, inserts: make(map[int]*sql.Stmt), removals: make(map[int]*sql.Stmt)}
	for _, n := range messages {
		if err := kept.prepare(ctx, n); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare inserts into %s: %w", p.table, err), kept.Close())
		}
	}
	return &kept, nil
}

// prepare keeps what inserts of n messages need.
func (p *Producer) prepare(ctx context.Context, n int) error {
	if n < 1 || n > maxRows {
		return fmt.Errorf("%d messages: 1 to %d are possible", n, maxRows)
	}
	keep := func(stmts map[int]*sql.Stmt, n int, text func(int) string) (err error) {
		if stmts[n] == nil && n > 0 {
			if stmts[n], err = p.prepared.db.PrepareContext(ctx, text(n)); err != nil {
				delete(stmts, n)
			}
		}
		return err
	}
	err := keep(p.prepared.inserts, n, p.stmt.text)
	if p.remove == nil || err != nil {
		return err
	}
	if n > maxRemoved {
		err = keep(p.prepared.removals, maxRemoved, p.remove.text)
		n %= maxRemoved
	}
	return errors.Join(err, keep(p.prepared.removals, n, p.remove.text))
}

// Close closes the statements that [Producer.Prepare] made for p, and waits for
// inserts that use one. Without any it does nothing.
func (p *Producer) Close() error {
	if p.prepared == nil {
		return nil
	}
	var errs []error
	for _, stmts := range []map[int]*sql.Stmt{p.prepared.inserts, p.prepared.removals} {
		for _, stmt := range stmts {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

// insert returns the statement for n rows in tx, nil when there is none.
func (s *prepared) insert(ctx context.Context, tx Execer, n int) *sql.Stmt {
	if s == nil {
		return nil
	}
	return s.in(ctx, tx, s.inserts[n])
}

// removal is insert for the DELETE of n rows.
func (s *prepared) removal(ctx context.Context, tx Execer, n int) *sql.Stmt {
	if s == nil {
		return nil
	}
	return s.in(ctx, tx, s.removals[n])
}

// in returns kept for use in tx, nil where that is not possible. It belongs to the
// transaction, which closes it.
func (s *prepared) in(ctx context.Context, tx Execer, kept *sql.Stmt) *sql.Stmt {
	if kept == nil {
		return nil
	}
	switch tx := tx.(type) {
	case interface {
		StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt
	}:
		return tx.StmtContext(ctx, kept)
	case *sql.DB:
		if tx == s.db {
			return kept
		}
	}
	return nil
}
