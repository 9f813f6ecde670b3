package producer_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/codec"
)

// printer stands for a transaction in the examples.
type printer struct{}

func (printer) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	fmt.Println(query)
	for i := 0; i < len(args); i += 5 {
		fmt.Printf("%v | %v | %v | %s | %s\n", args[i], args[i+1], args[i+2], args[i+3], args[i+4])
	}
	return nil, nil
}

// Insert is one more line in the transaction of the change.
func ExampleProducer_Insert() {
	outbox, err := producer.New(producer.Config{})
	if err != nil {
		panic(err)
	}
	var tx printer // a *sql.Tx

	err = outbox.Insert(context.Background(), tx,
		&binjet.Message{ID: "1", Topic: "orders.created", Key: "4711", ContentType: "application/json", Payload: []byte(`{"total":12}`)},
		&binjet.Message{ID: "2", Topic: "orders.paid", Key: "4711", ContentType: "application/json", Payload: []byte(`{}`)},
	)
	if err != nil {
		panic(err)
	}
	// Output:
	// INSERT INTO `outbox` (id, topic, message_key, headers, payload) VALUES (?,?,?,?,?),(?,?,?,?,?)
	// 1 | orders.created | 4711 | {"Content-Type":"application/json"} | {"total":12}
	// 2 | orders.paid | 4711 | {"Content-Type":"application/json"} | {}
}

// All faults of all messages are reported at once, before anything is sent.
func ExampleProducer_Insert_refused() {
	outbox, err := producer.New(producer.Config{})
	if err != nil {
		panic(err)
	}
	var tx printer

	err = outbox.Insert(context.Background(), tx,
		&binjet.Message{ID: "1", Topic: "orders.*", Payload: []byte("1")},
		&binjet.Message{ID: "2", Topic: "orders.paid", Headers: binjet.Headers{"Nats-Msg-Id": {"2"}}},
	)
	fmt.Println(errors.Is(err, binjet.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// insert into `outbox` refused: msgs[0]: message "1" on topic "orders.*": topic "orders.*" holds a wildcard (* or >)
	// msgs[1]: message "2" on topic "orders.paid": payload is empty; header "Nats-Msg-Id" is reserved: names that begin with Outbox- or Nats- belong to binjet and the broker
}

// A type, a topic and a codec are bound once; then an event is one line.
func ExampleTyped() {
	type paid struct {
		Total int `json:"total"`
	}
	outbox, err := producer.New(producer.Config{})
	if err != nil {
		panic(err)
	}
	orderPaid, err := producer.NewTyped[paid](outbox, "orders.paid", codec.JSON{})
	if err != nil {
		panic(err)
	}
	var tx printer // a *sql.Tx

	if err := orderPaid.Insert(context.Background(), tx, "4711", paid{Total: 12}, producer.WithID("1")); err != nil {
		panic(err)
	}
	// Output:
	// INSERT INTO `outbox` (id, topic, message_key, headers, payload) VALUES (?,?,?,?,?)
	// 1 | orders.paid | 4711 | {"Content-Type":"application/json"} | {"total":12}
}

// Middleware sees every message, complete, just before it is checked and inserted.
func ExampleMiddleware() {
	tenant := func(_ context.Context, m *binjet.Message) error {
		name, _, ok := strings.Cut(m.Key, "/")
		if !ok {
			return fmt.Errorf("key %q names no tenant", m.Key)
		}
		m.Headers.Set("tenant", name)
		return nil
	}
	outbox, err := producer.New(producer.Config{
		Headers:    binjet.Headers{"service": {"shop"}},
		Middleware: []producer.Middleware{tenant},
	})
	if err != nil {
		panic(err)
	}
	var tx printer
	err = outbox.Insert(context.Background(), tx, &binjet.Message{ID: "1", Topic: "orders.paid", Key: "acme/4711", Payload: []byte("1")})
	if err != nil {
		panic(err)
	}
	fmt.Println(outbox.Insert(context.Background(), tx, &binjet.Message{ID: "2", Topic: "orders.paid", Payload: []byte("1")}))
	// Output:
	// INSERT INTO `outbox` (id, topic, message_key, headers, payload) VALUES (?,?,?,?,?)
	// 1 | orders.paid | acme/4711 | {"service":"shop","tenant":"acme"} | 1
	// insert into `outbox` refused: msgs[0]: message "2" on topic "orders.paid": Config.Middleware[0]: key "" names no tenant
}

// Headers that come from the context are added to every message.
func ExampleConfig_inject() {
	type traceKey struct{}
	outbox, err := producer.New(producer.Config{
		Inject: func(ctx context.Context, h binjet.Headers) {
			if trace, ok := ctx.Value(traceKey{}).(string); ok {
				h.Set("traceparent", trace)
			}
		},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.WithValue(context.Background(), traceKey{}, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := outbox.Insert(ctx, printer{}, &binjet.Message{ID: "1", Topic: "a", Payload: []byte("1")}); err != nil {
		panic(err)
	}
	// Output:
	// INSERT INTO `outbox` (id, topic, message_key, headers, payload) VALUES (?,?,?,?,?)
	// 1 | a | <nil> | {"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} | 1
}

// Every fault of a configuration is reported at once.
func ExampleNew() {
	_, err := producer.New(producer.Config{Table: "out box", MaxBytes: -1})
	fmt.Println(err)
	// Output:
	// producer config: table "out box": identifier "out box" holds ' ': only letters, digits, '_', '$' and '-' are allowed
	// MaxBytes is -1: use a positive number, or 0 for 983040
}
