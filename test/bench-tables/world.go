package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/outboxtable"
	"github.com/binjet/binjet/internal/prune"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

type world struct {
	srv *dbserver.Server
	db  *sql.DB
}

func newWorld(ctx context.Context, srv *dbserver.Server) (*world, error) {
	admin, err := sql.Open("mysql", srv.DSN(""))
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE shop"); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", srv.DSN("shop")+"?interpolateParams=true")
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(32)
	w := &world{srv, db}
	return w, w.exec(ctx, "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT) ENGINE=InnoDB")
}

func (w *world) exec(ctx context.Context, query string) error {
	if _, err := w.db.ExecContext(ctx, query); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// kinds makes a table for each way.
func (w *world) kinds(ctx context.Context) ([]*kind, error) {
	none := func(context.Context, *sql.Tx) error { return nil }
	list := []*kind{{name: "no outbox", insert: none}}
	for _, k := range []struct {
		name, table string
		retain      producer.Retain
		pruned      bool
	}{
		{"keep", "kept", producer.Keep, false},
		{"keep, pruned meanwhile", "pruned", producer.Keep, true},
		{"partitioned by day", "parted", producer.Keep, false},
		{"delete in transaction", "deleted", producer.DeleteInTransaction, false},
		{"BLACKHOLE", "hole", producer.Keep, false},
	} {
		if err := w.create(ctx, k.table); err != nil {
			return nil, err
		}
		p, err := producer.New(producer.Config{Table: k.table, Retain: k.retain})
		if err != nil {
			return nil, err
		}
		one := &kind{name: k.name, insert: func(ctx context.Context, tx *sql.Tx) error { return p.Insert(ctx, tx, event()) }}
		if k.pruned {
			one.beside = func(ctx context.Context) error { return w.prune(ctx, k.table) }
		}
		list = append(list, one)
	}
	for _, k := range list {
		k.db = w.db
	}
	return list, nil
}

func event() *binjet.Message {
	return &binjet.Message{Topic: "orders.created", Key: "order-4711", ContentType: "application/json", Payload: []byte(strings.Repeat("x", 256))}
}

func (w *world) create(ctx context.Context, table string) error {
	statement, err := binjet.OutboxSQL(table)
	if err != nil {
		return err
	}
	if err := w.exec(ctx, statement); err != nil {
		return err
	}
	switch table {
	case "hole":
		return w.exec(ctx, "ALTER TABLE hole ENGINE=BLACKHOLE")
	case "parted":
		return w.exec(ctx, "ALTER TABLE parted DROP PRIMARY KEY, ADD PRIMARY KEY (id, created_at) "+outboxtable.Clause("created_at", outboxtable.Days(time.Now(), 8)))
	}
	return nil
}

// everything is a stream that holds all that the server has: only the server's work is measured.
func (w *world) everything(ctx context.Context) (p checkpoint.Position, err error) {
	p.Flavor = checkpoint.Flavor(w.srv.Flavor())
	query := "SELECT @@GLOBAL.gtid_executed"
	if p.Flavor == checkpoint.MariaDB {
		query = "SELECT @@GLOBAL.gtid_binlog_pos"
	}
	var text string
	if err := w.db.QueryRowContext(ctx, query).Scan(&text); err != nil {
		return p, err
	}
	p.Resume, err = checkpoint.ParseGTIDSet(text)
	return p, err
}

func (w *world) pruner(table string) (*prune.Pruner, error) {
	return prune.New(prune.Config{DB: w.db, Tables: []string{table}, Keep: time.Microsecond, Rates: prune.Rates{Pause: 10 * time.Millisecond},
		Published: w.everything, Verify: func(context.Context, checkpoint.Position) error { return nil }})
}

// prune deletes whatever there is, until ctx ends.
func (w *world) prune(ctx context.Context, table string) error {
	p, err := w.pruner(table)
	for err == nil && ctx.Err() == nil {
		_, err = p.Once(ctx)
	}
	if ctx.Err() != nil || errors.Is(err, prune.ErrBehind) {
		return nil
	}
	return err
}

// bytes counts what one transaction writes, by many.
func (w *world) bytes(ctx context.Context, k *kind) error {
	const n = 400
	redo, binlog, err := w.written(ctx)
	if err != nil {
		return err
	}
	for range n {
		if err := k.once(ctx); err != nil {
			return err
		}
	}
	redo2, binlog2, err := w.written(ctx)
	redo, binlog = (redo2-redo)/n, (binlog2-binlog)/n
	if k.redo == 0 || redo < k.redo {
		k.redo = redo
	}
	k.binlog = binlog
	return err
}

// pruneBytes counts what pruning writes for each row.
func (w *world) pruneBytes(ctx context.Context) (string, error) {
	redo, binlog, err := w.written(ctx)
	if err != nil {
		return "", err
	}
	p, err := w.pruner("kept")
	if err != nil {
		return "", err
	}
	r, err := p.Once(ctx)
	if err != nil {
		return "", err
	}
	redo2, binlog2, err := w.written(ctx)
	n := uint64(r.Rows())
	return fmt.Sprintf("pruning writes for each of %d rows: redo %d B, binlog %d B (binlog_row_image=MINIMAL, as the account may set it)\n", n, (redo2-redo)/n, (binlog2-binlog)/n), err
}

// written is where redo log and binlog end, once what was deleted is purged.
func (w *world) written(ctx context.Context) (redo, binlog uint64, err error) {
	if err := w.purged(ctx); err != nil {
		return 0, 0, err
	}
	lsn := "Innodb_redo_log_current_lsn"
	if w.srv.Flavor() == dbserver.MariaDB {
		lsn = "Innodb_lsn_current"
	}
	var name string
	if err := w.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE '"+lsn+"'").Scan(&name, &redo); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", lsn, err)
	}
	rows, err := w.db.QueryContext(ctx, testdb.BinlogStatus(w.srv))
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, 0, err
	}
	to := make([]any, len(columns))
	for i := range to {
		to[i] = new(sql.RawBytes)
	}
	to[1] = &binlog
	if !rows.Next() {
		return 0, 0, errors.New("the server writes no binlog")
	}
	return redo, binlog, rows.Scan(to...)
}

// purged waits until InnoDB has removed what was deleted.
func (w *world) purged(ctx context.Context) error {
	for last := uint64(0); ; {
		var n uint64
		err := w.db.QueryRowContext(ctx, "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME='trx_rseg_history_len'").Scan(&n)
		if err != nil || n == 0 || n == last {
			return err
		}
		last = n
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
