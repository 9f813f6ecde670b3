package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// No unique key on the order: it would hide what is handled twice.
const createInvoices = `CREATE TABLE IF NOT EXISTS invoices (
  id       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_id BIGINT NOT NULL,
  total    INT    NOT NULL
) ENGINE=InnoDB`

// consume writes an invoice for each order, until ctx ends.
func consume(ctx context.Context, s settings, db *sql.DB) error {
	if err := createTables(ctx, db); err != nil {
		return err
	}
	nc, err := nats.Connect(s.natsURL, nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.natsURL, err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c, err := consumer.New(js, consumer.Config{Name: "billing"})
	if err != nil {
		return err
	}
	c.HandleTx(topicCreated, db, consumer.TypedTx((&billing{}).invoice))
	return c.Run(ctx)
}

// billing counts for the log what this process has written.
type billing struct{ invoices atomic.Int64 }

// invoice is what your code would be. It runs in a transaction that marks the event
// as handled, too, so nothing here looks out for duplicates.
func (b *billing) invoice(ctx context.Context, tx *sql.Tx, _ *consumer.Message, created orderCreated) error {
	if _, err := tx.ExecContext(ctx, "INSERT INTO invoices (order_id, total) VALUES (?, ?)", created.Order, created.Total); err != nil {
		return fmt.Errorf("write the invoice of order %d: %w", created.Order, err)
	}
	if n := b.invoices.Add(1); n%25 == 0 {
		log.Printf("wrote %d invoices, the last one for order %d", n, created.Order)
	}
	return nil
}

func createTables(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, createInvoices); err != nil {
		return fmt.Errorf("create the table of invoices: %w", err)
	}
	seen, err := inbox.NewSQL(inbox.SQLConfig{})
	if err != nil {
		return err
	}
	return seen.EnsureSchema(ctx, db)
}
