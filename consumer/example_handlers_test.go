package consumer_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/producer/codec/msgpack"
)

// try hands messages to a consumer as its stream would, without a broker.
func try(c *consumer.Consumer, msgs ...binjet.Message) {
	in := make([]*consumer.Message, len(msgs))
	for i, m := range msgs {
		in[i] = &consumer.Message{Message: m}
	}
	outs, err := c.Try(context.Background(), in...)
	if err != nil {
		fmt.Println(err)
	}
	for i, out := range outs {
		fmt.Println(msgs[i].ID, out.Kind)
	}
}

// Effects outside of a database are at least once; a copy of a message that was
// handled is not run again.
func ExampleConsumer_Handle() {
	c, err := consumer.NewOffline(consumer.Config{}) // consumer.New(js, …) in earnest
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Handle("mails.*", func(_ context.Context, m *consumer.Message) error {
		fmt.Println("send", string(m.Payload))
		return nil
	}, consumer.RateLimit(100, 10), consumer.Timeout(10*time.Second))
	welcome := binjet.Message{ID: "1", Topic: "mails.welcome", Payload: []byte("welcome")}
	try(c, welcome, welcome)
	// Output:
	// send welcome
	// 1 handled
	// 1 duplicate
}

// An exactly-once handler: the invoice and the mark that its message is handled
// are one transaction. It compiles and is not run: it needs a database.
func ExampleConsumer_HandleTx() {
	run := func(ctx context.Context, js jetstream.JetStream, db *sql.DB) error {
		c, err := consumer.New(js, consumer.Config{Name: "billing"})
		if err != nil {
			return err
		}
		c.HandleTx("orders.created", db, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO invoices (order_id) VALUES (?)", m.Key)
			return err
		})
		return c.Run(ctx)
	}
	_ = run
}

// A batch in one call. The handler says which of its messages failed.
func ExampleConsumer_HandleBatch() {
	c, err := consumer.NewOffline(consumer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	opts := consumer.BatchOptions{MaxMessages: 500, MaxWait: 200 * time.Millisecond}
	c.HandleBatch("clicks.>", opts, func(_ context.Context, msgs []*consumer.Message) error {
		failed := consumer.BatchError{}
		var urls []string
		for _, m := range msgs {
			if len(m.Payload) == 0 {
				failed[m.ID] = consumer.Discard(errors.New("a click without a URL"))
				continue
			}
			urls = append(urls, string(m.Payload))
		}
		fmt.Println("store", strings.Join(urls, " "))
		return failed
	})
	try(c, binjet.Message{ID: "1", Topic: "clicks.web", Payload: []byte("/a")},
		binjet.Message{ID: "2", Topic: "clicks.app"},
		binjet.Message{ID: "3", Topic: "clicks.web", Payload: []byte("/b")})
	// Output:
	// store /a /b
	// 1 handled
	// 2 dead-lettered
	// 3 handled
}

// A batch in one transaction: one INSERT for all that were not handled before. It
// compiles and is not run: it needs a database.
func ExampleConsumer_HandleBatchTx() {
	add := func(c *consumer.Consumer, db *sql.DB) {
		c.HandleBatchTx("orders.created", db, consumer.BatchOptions{}, func(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
			query, args := "INSERT INTO invoices (order_id) VALUES (?)"+strings.Repeat(", (?)", len(msgs)-1), []any{}
			for _, m := range msgs {
				args = append(args, m.Key)
			}
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		})
	}
	_ = add
}

// The payload as a value, by the codec of the message's Content-Type. What can't
// be read is a dead letter at once.
func ExampleTyped() {
	c, err := consumer.NewOffline(consumer.Config{Codecs: []binjet.Codec{msgpack.Codec{}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Handle("orders.created", consumer.Typed(func(_ context.Context, m *consumer.Message, o order) error {
		fmt.Println("order", o.ID, "of", o.Cents, "cents")
		return nil
	}))
	payload, err := msgpack.Codec{}.Marshal(order{ID: "o-1", Cents: 1250})
	if err != nil {
		fmt.Println(err)
		return
	}
	try(c, binjet.Message{ID: "1", Topic: "orders.created", ContentType: "application/msgpack", Payload: payload},
		binjet.Message{ID: "2", Topic: "orders.created", ContentType: "application/msgpack", Payload: []byte("{}")})
	// Output:
	// order o-1 of 1250 cents
	// 1 handled
	// 2 dead-lettered
}
