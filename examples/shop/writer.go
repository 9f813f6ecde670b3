package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/codec"
)

const createOrders = `CREATE TABLE IF NOT EXISTS orders (
  id    BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  total INT    NOT NULL
) ENGINE=InnoDB`

// topicCreated is where the writer announces orders.
const topicCreated = "orders.created"

// orderCreated is the body of the event.
type orderCreated struct {
	Order int64 `json:"order"`
	Total int   `json:"total"`
}

// write places orders until there are as many as wanted, or ctx ends.
func write(ctx context.Context, s settings, db *sql.DB) error {
	out, err := producer.New(producer.Config{})
	if err != nil {
		return err
	}
	created, err := producer.NewTyped[orderCreated](out, topicCreated, codec.JSON{})
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, createOrders); err != nil {
		return fmt.Errorf("create the table of orders: %w", err)
	}
	pause := time.NewTicker(max(s.pause, time.Microsecond))
	defer pause.Stop()
	for n := 1; s.orders == 0 || n <= s.orders; n++ {
		if err := place(ctx, db, created, 100+n%900); err != nil {
			return err
		}
		if n%25 == 0 || n == s.orders {
			log.Printf("placed %d orders", n)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// place is what your code would be: the change and its event, in one transaction.
func place(ctx context.Context, db *sql.DB, created *producer.Typed[orderCreated], total int) error {
	return producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "INSERT INTO orders (total) VALUES (?)", total)
		if err != nil {
			return fmt.Errorf("insert an order: %w", err)
		}
		id, err := res.LastInsertId()
		if err != nil {
			return err
		}
		return created.Insert(ctx, tx, fmt.Sprint(id), orderCreated{Order: id, Total: total})
	})
}
