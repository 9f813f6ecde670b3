package main

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	_ "github.com/go-sql-driver/mysql"
)

// pollBatch is how many rows are taken at once.
const pollBatch = 100

func poll(ctx context.Context, s spec) error {
	nc, js, err := connect(s.URL)
	if err != nil {
		return err
	}
	defer nc.Close()
	db, err := sql.Open("mysql", s.DSN+"?interpolateParams=true")
	if err != nil {
		return err
	}
	defer db.Close()
	for ctx.Err() == nil {
		n, err := pollOnce(ctx, db, js)
		if err != nil {
			return err
		}
		if n == 0 {
			time.Sleep(pollInterval)
		}
	}
	return ctx.Err()
}

func pollOnce(ctx context.Context, db *sql.DB, js jetstream.JetStream) (int, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	list, err := take(ctx, tx)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	ids := make([]any, len(list))
	for i := range list {
		ids[i] = list[i].id
		msg, err := list[i].message("")
		if err != nil {
			return 0, err
		}
		if _, err := js.PublishMsg(ctx, msg); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE id IN (?"+strings.Repeat(",?", len(ids)-1)+")", ids...); err != nil {
		return 0, err
	}
	return len(list), tx.Commit()
}

// take locks the next rows.
func take(ctx context.Context, tx *sql.Tx) (list []row, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, topic, message_key, headers, payload, created_at FROM outbox ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED", pollBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.topic, &r.key, &r.headers, &r.payload, &r.created); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
