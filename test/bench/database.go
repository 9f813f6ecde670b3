package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"

	_ "github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet"
)

// backlog is a part of the binlog, and the database whose outbox table wrote it.
type backlog struct {
	db     string
	rows   int    // of the outbox table
	before string // GTID set in front of it
}

// newDatabase makes a database with an outbox table, in a binlog file of its own: a
// reader that begins there need not look through what is before.
func (w *world) newDatabase(ctx context.Context, name string) (*backlog, error) {
	table, err := binjet.OutboxSQL(name + ".outbox")
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"CREATE DATABASE " + name, table, "FLUSH BINARY LOGS"} {
		if _, err := w.db.ExecContext(ctx, q); err != nil {
			return nil, fmt.Errorf("%s: %w", q, err)
		}
	}
	b := &backlog{db: name}
	query := "SELECT @@GLOBAL.gtid_executed"
	if w.mariadb() {
		query = "SELECT @@GLOBAL.gtid_binlog_pos"
	}
	return b, w.db.QueryRowContext(ctx, query).Scan(&b.before)
}

// drop takes a database away, and all of the binlog with it.
func (w *world) drop(ctx context.Context, b *backlog) error {
	if _, err := w.db.ExecContext(ctx, "DROP DATABASE "+b.db); err != nil {
		return err
	}
	if _, err := w.db.ExecContext(ctx, "FLUSH BINARY LOGS"); err != nil {
		return err
	}
	var file string
	rows, err := w.db.QueryContext(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	to := make([]any, len(columns))
	for i := range to {
		to[i] = new(sql.RawBytes)
	}
	to[0] = &file
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = w.db.ExecContext(ctx, "PURGE BINARY LOGS TO '"+file+"'")
	return err
}

// fill is a load of transactions that are written as fast as the server can.
type fill struct {
	rows, perTx int
	writers     int                                  // more of them are faster, and mix the order
	insert      func(to []byte, first, n int) []byte // one statement with n rows
	progress    func(done int)
}

// statementBytes is how much goes to the server at once: many statements, each of
// which commits by itself.
const statementBytes = 256 << 10

func (w *world) fill(ctx context.Context, f fill) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var done atomic.Int64
	txs := f.rows / f.perTx
	for i := range f.writers {
		all.Go(func() {
			if err := w.fillShare(ctx, f, i*txs/f.writers, (i+1)*txs/f.writers, &done); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// fillShare writes the transactions from..to.
func (w *world) fillShare(ctx context.Context, f fill, from, to int, done *atomic.Int64) error {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var text []byte
	pending := 0
	for i := from; i < to; i++ {
		text = append(f.insert(text, i*f.perTx, f.perTx), ';')
		pending += f.perTx
		if len(text) < statementBytes && i < to-1 {
			continue
		}
		if _, err := conn.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("write a backlog: %w", err)
		}
		f.progress(int(done.Add(int64(pending))))
		text, pending = text[:0], 0
	}
	return nil
}

// outboxInsert is one statement with the rows of events.
func outboxInsert(b *backlog, e *events) func(to []byte, first, n int) []byte {
	return func(to []byte, first, n int) []byte {
		to = append(to, "INSERT INTO "+b.db+".outbox (id,topic,message_key,headers,payload) VALUES "...)
		for i := range n {
			if i > 0 {
				to = append(to, ',')
			}
			to = e.row(to, first+i)
		}
		return to
	}
}

// newBacklog is a backlog of events, perTx of them in a transaction.
func (w *world) newBacklog(ctx context.Context, name string, rows, size, perTx, writers int) (*backlog, error) {
	b, err := w.newDatabase(ctx, name)
	if err != nil {
		return nil, err
	}
	b.rows = rows / perTx * perTx
	say := w.saying(fmt.Sprintf("write %d rows of %d bytes, %d in a transaction", b.rows, size, perTx), b.rows)
	return b, w.fill(ctx, fill{rows: b.rows, perTx: perTx, writers: writers, insert: outboxInsert(b, newEvents(size, perTx)), progress: say})
}
