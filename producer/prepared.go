package producer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// prepared are the statements of one database, by their number of rows.
type prepared struct {
	db    *sql.DB
	stmts map[int]*sql.Stmt
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
	kept.prepared = &prepared{db: db, stmts: make(map[int]*sql.Stmt, len(messages))}
	for _, n := range messages {
		if n < 1 || n > maxRows {
			return nil, errors.Join(fmt.Errorf("prepare inserts into %s: %d messages: 1 to %d are possible", p.table, n, maxRows), kept.Close())
		}
		if kept.prepared.stmts[n] != nil {
			continue
		}
		stmt, err := db.PrepareContext(ctx, p.stmt.text(n))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare inserts into %s: %w", p.table, err), kept.Close())
		}
		kept.prepared.stmts[n] = stmt
	}
	return &kept, nil
}

// Close closes the statements that [Producer.Prepare] made for p, and waits for
// inserts that use one. Without any it does nothing.
func (p *Producer) Close() error {
	if p.prepared == nil {
		return nil
	}
	var errs []error
	for _, stmt := range p.prepared.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// statement returns the one for n rows in tx, nil when there is none. It belongs
// to the transaction, which closes it.
func (s *prepared) statement(ctx context.Context, tx Execer, n int) *sql.Stmt {
	if s == nil || s.stmts[n] == nil {
		return nil
	}
	switch tx := tx.(type) {
	case interface {
		StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt
	}:
		return tx.StmtContext(ctx, s.stmts[n])
	case *sql.DB:
		if tx == s.db {
			return s.stmts[n]
		}
	}
	return nil
}
