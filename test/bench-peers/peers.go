package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmjetstream "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

// until counts messages and closes done at the n-th.
type until struct {
	left atomic.Int64
	done chan struct{}
}

func newUntil(n int) *until {
	u := &until{done: make(chan struct{})}
	u.left.Store(int64(n))
	return u
}

func (u *until) add(n int) {
	if u.left.Add(int64(-n)) == 0 {
		close(u.done)
	}
}

func (u *until) wait(ctx context.Context) error {
	select {
	case <-u.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rawPlain is what one writes first with nats.go.
func rawPlain(ctx context.Context, w *world, n int) error {
	return consume(ctx, w, n, 1, func(context.Context, jetstream.Msg) error { return nil })
}

func rawWorkers(workers int) func(context.Context, *world, int) error {
	return func(ctx context.Context, w *world, n int) error {
		return consume(ctx, w, n, workers, func(context.Context, jetstream.Msg) error { return nil })
	}
}

// rawTx does by hand what HandleTx does: inbox first, effect, commit, ack. careful
// asks for the mark before the commit, as HandleTx does: without that a handler that
// swallows a deadlock's error has its message acknowledged without its effects.
func rawTx(workers int, careful bool) func(context.Context, *world, int) error {
	return func(ctx context.Context, w *world, n int) error {
		return consume(ctx, w, n, workers, func(ctx context.Context, m jetstream.Msg) error {
			tx, err := w.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			id := m.Headers().Get(binjet.HeaderID)
			if _, err := tx.ExecContext(ctx, "INSERT INTO inbox (consumer, message_id) VALUES (?, ?)", durable, id); err != nil {
				return err
			}
			if err := effect(ctx, tx, id, m.Data()); err != nil {
				return err
			}
			if careful {
				var one int
				row := tx.QueryRowContext(ctx, "SELECT 1 FROM inbox WHERE message_id = ? AND consumer = ? LOCK IN SHARE MODE", id, durable)
				if err := row.Scan(&one); err != nil {
					return err
				}
			}
			return tx.Commit()
		})
	}
}

func effect(ctx context.Context, tx *sql.Tx, id string, payload []byte) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO effects (message, payload) VALUES (?, ?)", id, payload)
	return err
}

// consume runs handle in workers behind one Consume.
func consume(ctx context.Context, w *world, n, workers int, handle func(context.Context, jetstream.Msg) error) error {
	c, err := w.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: subject, MaxAckPending: 1000})
	if err != nil {
		return err
	}
	u := newUntil(n)
	failed := make(chan error, 1)
	one := func(m jetstream.Msg) {
		if err := errors.Join(handle(ctx, m), m.Ack()); err != nil {
			select {
			case failed <- err:
			default:
			}
		}
		u.add(1)
	}
	queue := make(chan jetstream.Msg)
	var wg sync.WaitGroup
	next := one
	if workers > 1 {
		next = func(m jetstream.Msg) { queue <- m }
		for range workers {
			wg.Go(func() {
				for m := range queue {
					one(m)
				}
			})
		}
	}
	running, err := c.Consume(next)
	if err != nil {
		return err
	}
	err = u.wait(ctx)
	running.Stop()
	<-running.Closed()
	close(queue)
	wg.Wait()
	select {
	case e := <-failed:
		err = errors.Join(err, e)
	default:
	}
	return errors.Join(err, w.nc.Flush())
}

// watermillPlain is Watermill's router on its JetStream subscriber, with its
// deduplicator, which remembers in memory as binjet's default inbox does.
func watermillPlain(ctx context.Context, w *world, n int) error {
	nc, err := nats.Connect(w.broker.ClientURL())
	if err != nil {
		return err
	}
	defer nc.Close()
	sub, err := wmjetstream.NewSubscriber(wmjetstream.SubscriberConfig{
		Conn: nc, Logger: watermill.NopLogger{}, AckAsync: true, Unmarshaler: outboxIDs{},
		ConfigureConsumer: func(string, string) jetstream.ConsumerConfig {
			return jetstream.ConsumerConfig{Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: subject, MaxAckPending: 1000}
		},
		ResourceInitializer: func(ctx context.Context, js jetstream.JetStream, _ string) (jetstream.Consumer, func(context.Context, watermill.LoggerAdapter), error) {
			c, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: subject, MaxAckPending: 1000})
			return c, nil, err
		},
	})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	seen, err := middleware.NewMapExpiringKeyRepository(time.Minute)
	if err != nil {
		return err
	}
	dedupe := middleware.Deduplicator{Repository: seen, KeyFactory: func(m *message.Message) (string, error) { return m.UUID, nil }}
	u := newUntil(n)
	router.AddConsumerHandler("bench", subject, sub, func(*message.Message) error { u.add(1); return nil }).AddMiddleware(dedupe.Middleware)
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	return errors.Join(u.wait(ctx), router.Close(), <-done)
}

// outboxIDs is Watermill's unmarshaler with our message ID for the message's UUID.
type outboxIDs struct{ wmjetstream.DefaultUnmarshaler }

func (u outboxIDs) Unmarshal(m jetstream.Msg) (*message.Message, error) {
	msg, err := u.DefaultUnmarshaler.Unmarshal(m)
	if err == nil {
		msg.UUID = m.Headers().Get(binjet.HeaderID)
	}
	return msg, err
}

func handle(workers int) func(context.Context, *world, int) error {
	return func(ctx context.Context, w *world, n int) error {
		return binjetRun(ctx, w, n, workers, func(c *consumer.Consumer, u *until) {
			c.Handle(topic, func(context.Context, *consumer.Message) error { return nil })
		})
	}
}

func handleTx(workers int) func(context.Context, *world, int) error {
	return func(ctx context.Context, w *world, n int) error {
		return binjetRun(ctx, w, n, workers, func(c *consumer.Consumer, u *until) {
			c.HandleTx(topic, w.db, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
				return effect(ctx, tx, m.ID, m.Payload)
			})
		})
	}
}

// handleBatchTx inserts the effects of a batch by one statement, which is what batches are for.
func handleBatchTx(ctx context.Context, w *world, n int) error {
	return binjetRun(ctx, w, n, 1, func(c *consumer.Consumer, u *until) {
		c.HandleBatchTx(topic, w.db, consumer.BatchOptions{}, func(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
			query, args := "INSERT INTO effects (message, payload) VALUES ", make([]any, 0, 2*len(msgs))
			for i, m := range msgs {
				if i > 0 {
					query += ","
				}
				query += "(?,?)"
				args = append(args, m.ID, m.Payload)
			}
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		})
	})
}

// binjetRun counts what is acknowledged, as the others do.
func binjetRun(ctx context.Context, w *world, n, workers int, add func(*consumer.Consumer, *until)) error {
	u := newUntil(n)
	c, err := consumer.New(w.js, consumer.Config{
		Name: durable, Concurrency: workers, Prefetch: 500, TxInbox: w.inbox, Logger: slog.New(slog.DiscardHandler),
		Hooks: consumer.Hooks{AfterSettle: func(_ *consumer.Message, out consumer.Outcome) {
			if out.Kind == consumer.Handled {
				u.add(1)
			}
		}},
	})
	if err != nil {
		return err
	}
	add(c, u)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case err := <-done:
		return fmt.Errorf("the consumer ended: %w", err)
	case <-u.done:
	}
	stop()
	return <-done
}
