package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
)

// readerName is the durable consumer's: the broker remembers its place by it, and
// the inbox what it has handled.
const readerName = "history"

// newHistory is another service: it keeps a history of all changes of orders. With
// the default Concurrency of 1 it handles events in the order of their commits.
func newHistory(js jetstream.JetStream, db *sql.DB, cfg consumer.Config) (*consumer.Consumer, error) {
	cfg.Name = readerName
	c, err := consumer.New(js, cfg)
	if err != nil {
		return nil, err
	}
	c.HandleTx(topicChanged, db, addToHistory)
	return c, nil
}

// addToHistory runs in a transaction that marks the event as handled, too. So
// nothing here looks out for duplicates: an event that is delivered again is
// not handled again.
func addToHistory(ctx context.Context, tx *sql.Tx, event *consumer.Message) error {
	var changed orderChanged
	if err := json.Unmarshal(event.Payload, &changed); err != nil {
		return consumer.Discard(err) // no retry would help
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO history (event_id, order_id, version) VALUES (?, ?, ?)",
		event.ID, changed.Order, changed.Version)
	if err != nil {
		return fmt.Errorf("add version %d of order %s to the history: %w", changed.Version, changed.Order, err)
	}
	return nil
}
