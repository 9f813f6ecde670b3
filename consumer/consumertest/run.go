package consumertest

import (
	"context"
	"database/sql"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

// Runner runs handlers under a config of yours. The zero value has the default
// one, without log lines.
type Runner struct {
	// Config is as for a consumer, and what is about the broker counts for nothing.
	// Name may be empty. Without an Inbox each call begins with an empty one. With a
	// TxInbox its table has to be in the database; without one no message is a
	// duplicate for transactional handlers.
	Config consumer.Config
}

// Run runs h on msg once, under the default config, and returns what becomes of
// the message: [consumer.Handled]; [consumer.Retried] with the error and the delay;
// [consumer.DeadLettered] after a Discard, or at the last attempt, which is the
// tenth of msg.Attempt. What msg lacks to be an event is filled in.
func Run(t testing.TB, h consumer.Handler, msg *consumer.Message) consumer.Outcome {
	t.Helper()
	return Runner{}.Run(t, h, msg)
}

// RunTx is [Run] for HandleTx: with a transaction of db, which is committed when
// the message is handled and rolled back when it is not.
func RunTx(t testing.TB, db *sql.DB, h consumer.TxHandler, msg *consumer.Message) consumer.Outcome {
	t.Helper()
	return Runner{}.RunTx(t, db, h, msg)
}

// RunBatch is [Run] for HandleBatch: all messages are one batch, which is parted
// when it fails as a whole. The outcomes are in the order of msgs.
func RunBatch(t testing.TB, h consumer.BatchHandler, msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	return Runner{}.RunBatch(t, h, msgs...)
}

// RunBatchTx is [RunBatch] for HandleBatchTx.
func RunBatchTx(t testing.TB, db *sql.DB, h consumer.TxBatchHandler, msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	return Runner{}.RunBatchTx(t, db, h, msgs...)
}

// Run is [Run] under r's config.
func (r Runner) Run(t testing.TB, h consumer.Handler, msg *consumer.Message) consumer.Outcome {
	t.Helper()
	return r.try(t, func(c *consumer.Consumer) { c.Handle(">", h) }, msg)[0]
}

// RunTx is [RunTx] under r's config.
func (r Runner) RunTx(t testing.TB, db *sql.DB, h consumer.TxHandler, msg *consumer.Message) consumer.Outcome {
	t.Helper()
	return r.try(t, func(c *consumer.Consumer) { c.HandleTx(">", db, h) }, msg)[0]
}

// RunBatch is [RunBatch] under r's config.
func (r Runner) RunBatch(t testing.TB, h consumer.BatchHandler, msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	return r.try(t, func(c *consumer.Consumer) { c.HandleBatch(">", one(msgs), h) }, msgs...)
}

// RunBatchTx is [RunBatchTx] under r's config.
func (r Runner) RunBatchTx(t testing.TB, db *sql.DB, h consumer.TxBatchHandler, msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	return r.try(t, func(c *consumer.Consumer) { c.HandleBatchTx(">", db, one(msgs), h) }, msgs...)
}

// one is a batch that takes all messages, whatever their size.
func one(msgs []*consumer.Message) consumer.BatchOptions {
	return consumer.BatchOptions{MaxMessages: max(len(msgs), 1), MaxBytes: 1 << 40}
}

func (r Runner) try(t testing.TB, add func(*consumer.Consumer), msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	c := r.consumer(t, add)
	return try(t, c, filled(msgs))
}

func (r Runner) consumer(t testing.TB, add func(*consumer.Consumer)) *consumer.Consumer {
	t.Helper()
	cfg := r.Config
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.TxInbox == nil {
		cfg.TxInbox = noInbox{}
	}
	c, err := consumer.NewOffline(cfg)
	if err != nil {
		t.Fatal(err)
	}
	add(c)
	return c
}

func try(t testing.TB, c *consumer.Consumer, msgs []*consumer.Message) []consumer.Outcome {
	t.Helper()
	outs, err := c.Try(t.Context(), msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return outs
}

// filled are copies that have what the stream's messages have.
func filled(msgs []*consumer.Message) []*consumer.Message {
	full := make([]*consumer.Message, len(msgs))
	for i, msg := range msgs {
		m := *msg
		n := uint64(i + 1)
		if m.ID == "" {
			m.ID = "message-" + strconv.FormatUint(n, 10)
		}
		if m.Topic == "" {
			m.Topic = "test"
		}
		if m.Sequence == 0 {
			m.Sequence = n
		}
		if m.Published.IsZero() {
			m.Published = time.Now()
		}
		full[i] = &m
	}
	return full
}

// Message is what a consumer gets when a producer has sent v by that codec. Set
// its ID, Key and whatever else the handler looks at.
func Message(t testing.TB, topic string, c binjet.Codec, v any) *consumer.Message {
	t.Helper()
	payload, err := c.Marshal(v)
	if err != nil {
		t.Fatalf("encode the message: %v", err)
	}
	return &consumer.Message{Message: binjet.Message{Topic: topic, ContentType: c.ContentType(), Payload: payload}}
}

// noInbox knows no message.
type noInbox struct{}

func (noInbox) Claim(context.Context, *sql.Tx, string, string) error   { return nil }
func (noInbox) Confirm(context.Context, *sql.Tx, string, string) error { return nil }
