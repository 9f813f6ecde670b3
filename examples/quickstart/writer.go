package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
)

// topicChanged is where this service announces changes of orders.
const topicChanged = "orders.changed"

// orderChanged is the body of the event.
type orderChanged struct {
	Order   string `json:"order"`
	Version int    `json:"version"`
}

// orderService changes orders and announces each change, in one transaction.
type orderService struct {
	db     *sql.DB
	outbox *producer.Producer
}

// change gives every one of orders its next version, in one transaction with
// an event about each. When it returns an error, neither changes nor events
// have happened. approve is asked last; its error rolls everything back.
func (s *orderService) change(ctx context.Context, orders []string, approve func() error) ([]*binjet.Message, error) {
	var events []*binjet.Message
	err := producer.InTx(ctx, s.db, nil, func(ctx context.Context, tx *sql.Tx) error {
		for _, order := range orders {
			event, err := s.nextVersion(ctx, tx, order)
			if err != nil {
				return err
			}
			events = append(events, event)
		}
		if err := s.outbox.Insert(ctx, tx, events...); err != nil {
			return err
		}
		return approve()
	})
	return events, err
}

// nextVersion changes one order. FOR UPDATE locks its row until the transaction
// ends, so the versions of an order are committed in the order 1, 2, 3, …
func (s *orderService) nextVersion(ctx context.Context, tx *sql.Tx, order string) (*binjet.Message, error) {
	changed := orderChanged{Order: order}
	row := tx.QueryRowContext(ctx, "SELECT version FROM orders WHERE id = ? FOR UPDATE", order)
	if err := row.Scan(&changed.Version); err != nil {
		return nil, fmt.Errorf("lock order %s: %w", order, err)
	}
	changed.Version++
	if _, err := tx.ExecContext(ctx, "UPDATE orders SET version = ? WHERE id = ?", changed.Version, order); err != nil {
		return nil, fmt.Errorf("change order %s: %w", order, err)
	}
	body, err := json.Marshal(changed)
	if err != nil {
		return nil, fmt.Errorf("encode the change of order %s: %w", order, err)
	}
	return &binjet.Message{Topic: topicChanged, Key: order, ContentType: "application/json", Payload: body}, nil
}
