package consumerprom_test

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumerprom"
)

// A consumer whose metrics are on the default registry. It compiles and is not run:
// it needs a broker.
func Example() {
	run := func(ctx context.Context, js jetstream.JetStream) error {
		cfg := consumer.Config{Name: "billing"}
		metrics := consumerprom.Instrument(&cfg) // before New
		c, err := consumer.New(js, cfg)
		if err != nil {
			return err
		}
		metrics.Watch(c)
		if err := prometheus.Register(metrics); err != nil {
			return err
		}
		c.Handle("orders.created", func(context.Context, *consumer.Message) error { return nil })
		return c.Run(ctx)
	}
	_ = run
}
