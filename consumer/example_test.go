package consumer_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// A consumer whose effects are in its own database. It compiles and is not run:
// it needs a broker and a database.
func Example() {
	run := func(ctx context.Context, db *sql.DB) error {
		nc, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1))
		if err != nil {
			return err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		seen, err := inbox.NewSQL(inbox.SQLConfig{})
		if err != nil {
			return err
		}
		if err := seen.EnsureSchema(ctx, db); err != nil {
			return err
		}
		c, err := consumer.New(js, consumer.Config{Name: "billing", TxInbox: seen})
		if err != nil {
			return err
		}
		c.HandleTx("orders.created", db, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO invoices (order_id) VALUES (?)", m.Key)
			return err
		}, consumer.Timeout(10*time.Second))
		return c.Run(ctx) // until ctx ends; then it drains
	}
	_ = run
}

// What a handler returns says what becomes of the message.
func ExampleHandler() {
	errNotYet := errors.New("the order can't be read yet")
	var handler consumer.Handler = func(_ context.Context, m *consumer.Message) error {
		switch string(m.Payload) {
		case "garbage":
			return consumer.Discard(errors.New("the payload is no order")) // dead letter at once
		case "early":
			return consumer.RetryAfter(time.Second, errNotYet) // again in a second
		case "bad luck":
			return errors.New("connection refused") // again after the backoff
		}
		return nil // done
	}
	for _, payload := range []string{"garbage", "early", "bad luck", "fine"} {
		err := handler(context.Background(), &consumer.Message{Message: binjet.Message{Payload: []byte(payload)}})
		fmt.Println(payload+":", err)
	}
	// Output:
	// garbage: discarded: the payload is no order
	// early: retry after 1s: the order can't be read yet
	// bad luck: connection refused
	// fine: <nil>
}

// A middleware sees the runs of a handler: no duplicates, each attempt.
func ExampleMiddleware() {
	var count consumer.Middleware = func(next consumer.Handler) consumer.Handler {
		runs := 0
		return func(ctx context.Context, m *consumer.Message) error {
			runs++
			fmt.Println("run", runs, "of", m.Topic)
			return next(ctx, m)
		}
	}
	h := count(func(context.Context, *consumer.Message) error { return nil })
	m := &consumer.Message{Message: binjet.Message{Topic: "orders.created"}}
	_ = h(context.Background(), m)
	_ = h(context.Background(), m)
	// Output:
	// run 1 of orders.created
	// run 2 of orders.created
}
