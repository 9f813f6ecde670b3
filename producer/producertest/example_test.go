package producertest_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/codec"
	"github.com/binjet/binjet/producer/producertest"
)

type Paid struct {
	Total int `json:"total"`
}

// Shop is a service.
type Shop struct {
	DB   producer.Beginner // a *sql.DB
	Paid *producer.Typed[Paid]
}

func (s *Shop) Pay(ctx context.Context, order string, total int) error {
	return producer.InTx(ctx, s.DB, nil, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE orders SET paid = ? WHERE id = ?", total, order); err != nil {
			return err
		}
		return s.Paid.Insert(ctx, tx, order, Paid{total})
	})
}

func newShop(db producer.Beginner) *Shop {
	outbox, err := producer.New(producer.Config{})
	if err != nil {
		panic(err)
	}
	paid, err := producer.NewTyped[Paid](outbox, "orders.paid", codec.JSON{})
	if err != nil {
		panic(err)
	}
	return &Shop{db, paid}
}

// t would be the test's own.
var t = exampleT{}

type exampleT struct{ testing.TB }

func (exampleT) Helper()                           {}
func (exampleT) Cleanup(func())                    {}
func (exampleT) Context() context.Context          { return context.Background() }
func (exampleT) Fatalf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// A unit test of a service that has no server.
func Example() {
	db := producertest.NewDB(t)
	defer db.Close() // a test does so by itself
	shop := newShop(db)

	if err := shop.Pay(context.Background(), "4711", 12); err != nil {
		fmt.Println(err)
	}
	producertest.RequireInserted(t, db, producertest.Topic("orders.paid"), producertest.Key("4711"), producertest.Value(codec.JSON{}, Paid{12}))

	err := db.Relay(context.Background(), func(_ context.Context, m binjet.Message) error {
		fmt.Printf("%s of %s: %s\n", m.Topic, m.Key, m.Payload)
		return nil
	})
	fmt.Println(err, db.Statements())
	// Output:
	// orders.paid of 4711: {"total":12}
	// <nil> [{UPDATE orders SET paid = ? WHERE id = ? [12 4711]}]
}
