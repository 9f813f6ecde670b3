package consumerotel_test

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumerotel"
)

// A consumer whose handlers have spans. It compiles and is not run: it needs a broker.
func Example() {
	run := func(ctx context.Context, js jetstream.JetStream) error {
		cfg := consumer.Config{Name: "billing"}
		consumerotel.Instrument(&cfg, consumerotel.Options{}) // the global TracerProvider
		c, err := consumer.New(js, cfg)
		if err != nil {
			return err
		}
		c.Handle("orders.created", func(context.Context, *consumer.Message) error { return nil })
		return c.Run(ctx)
	}
	_ = run
}
