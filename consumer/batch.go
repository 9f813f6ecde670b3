package consumer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Defaults of [BatchOptions].
const (
	DefaultBatchMessages = 100
	DefaultBatchBytes    = 4 << 20
	DefaultBatchWait     = 100 * time.Millisecond
)

// BatchOptions say when a batch is full.
type BatchOptions struct {
	// MaxMessages bounds the messages of a batch. A worker holds up to twice as
	// many, so that the next batch is there when one is done. Default: 100.
	MaxMessages int
	// MaxBytes bounds them by their size on the stream. A larger message is a
	// batch by itself. Default: 4 MiB.
	MaxBytes int
	// MaxWait is how long the first message waits for others. What is there
	// already is taken in any case. Default: 100 ms.
	MaxWait time.Duration
}

// WithDefaults returns o with every unset field at its default.
func (o BatchOptions) WithDefaults() BatchOptions {
	setDefault(&o.MaxMessages, DefaultBatchMessages)
	setDefault(&o.MaxBytes, DefaultBatchBytes)
	setDefault(&o.MaxWait, DefaultBatchWait)
	return o
}

func (o BatchOptions) validate() error {
	if o.MaxMessages < 1 || o.MaxBytes < 1 || o.MaxWait < 0 {
		return fmt.Errorf("BatchOptions of %d messages, %d bytes and %s: give positive ones, or 0 for the default", o.MaxMessages, o.MaxBytes, o.MaxWait)
	}
	return nil
}

// BatchHandler handles several messages, in the order of the stream, each ID
// once. A nil error acknowledges all. A [BatchError] says which ones failed; any
// other error that all did.
type BatchHandler func(ctx context.Context, msgs []*Message) error

// TxBatchHandler does so with effects in tx, under the rules of [TxHandler].
type TxBatchHandler func(ctx context.Context, tx *sql.Tx, msgs []*Message) error

// BatchError names the messages of a batch that failed, by ID, and why; each
// error may be a [Discard] or a [RetryAfter]. The messages not named succeeded.
// An empty one is no failure.
type BatchError map[string]error

func (e BatchError) Error() string {
	failed := make([]string, 0, len(e))
	for _, id := range slices.Sorted(maps.Keys(e)) {
		failed = append(failed, fmt.Sprintf("%s: %v", id, e[id]))
	}
	return fmt.Sprintf("%d messages of the batch failed: %s", len(e), strings.Join(failed, "; "))
}

// HandleBatch adds a handler that takes many messages at once. Its effects are at
// least once, duplicates suppressed by Config.Inbox message by message, as for
// Handle; topics are too.
//
// A batch is what one worker gets in a row for this handler. A message for
// another handler ends it, so that with Concurrency 1 messages are handled in
// stream order; where topics interleave, give them one handler by a wider
// pattern, or a consumer (Config.Name) of their own.
//
// When h fails for the batch as a whole (any error but [BatchError], a panic), it
// is run again at once for the two halves, and so on down to single messages: so
// the others are handled, and only what fails alone is retried later and can
// become a dead letter. [RetryAfter] for the whole batch puts off all of it
// instead. A message that was delivered before, such as one that is retried,
// makes a batch of its own.
func (c *Consumer) HandleBatch(topic string, opts BatchOptions, h BatchHandler, mw ...BatchMiddleware) {
	if h == nil {
		c.add(topic, route{})
		return
	}
	wrapped := c.chainBatch(h, mw)
	c.addBatch(topic, opts, nil, func(ctx context.Context, msgs []*Message) ([]error, error) {
		return c.runPlainBatch(ctx, wrapped, msgs)
	})
}

// HandleBatchTx adds a handler that takes many messages at once, whose effects in
// db happen exactly once per message. For each batch it begins a transaction,
// inserts all messages into Config.TxInbox, runs h for those that were not handled
// before, commits, and then acknowledges. Batches and failures are as for
// HandleBatch; db and tx are as for HandleTx.
//
// When h names messages by a [BatchError], the transaction is rolled back and h is
// run again without them, since what it did for them can't be told from the rest.
func (c *Consumer) HandleBatchTx(topic string, db *sql.DB, opts BatchOptions, h TxBatchHandler, mw ...BatchMiddleware) {
	if h == nil || db == nil {
		c.add(topic, route{})
		return
	}
	wrapped := c.chainBatch(func(ctx context.Context, msgs []*Message) error {
		tx, err := txFrom(ctx)
		if err != nil {
			return err
		}
		return h(ctx, tx, msgs)
	}, mw)
	c.addBatch(topic, opts, db, func(ctx context.Context, msgs []*Message) ([]error, error) {
		return c.runTxBatch(ctx, db, wrapped, msgs)
	})
}

// batchRoute is what makes a route one of batches.
type batchRoute struct {
	opts BatchOptions
	run  batchRunner
}

// batchRunner runs a handler once for all messages, under its inbox. ends has, by
// place, what is certain about one message alone: inbox.ErrDone, inbox.ErrBusy or
// its own failure. err is about all the others together, nil when they are handled.
type batchRunner func(ctx context.Context, msgs []*Message) (ends []error, err error)

// errWithout says that messages were rolled back only on account of others, which
// are named: they are to be run again without those.
var errWithout = errors.New("rolled back on account of other messages of the batch")

func (c *Consumer) addBatch(topic string, opts BatchOptions, db *sql.DB, run batchRunner) {
	opts = opts.WithDefaults()
	if err := opts.validate(); err != nil {
		c.mu.Lock()
		c.faults = append(c.faults, fmt.Errorf("topic %q: %w", topic, err))
		c.mu.Unlock()
	}
	c.add(topic, route{db: db, batch: &batchRoute{opts, run}})
}

// makeRoom lets this process hold two batches for each worker, one that runs and
// one that fills. It is called with all handlers known, under c.mu.
func (c *Consumer) makeRoom() {
	largest := 0
	for _, r := range c.routes {
		if r.batch != nil {
			largest = max(largest, r.batch.opts.MaxMessages)
		}
	}
	if largest == 0 {
		return
	}
	room := 2 * c.cfg.Concurrency * largest
	if c.bounded {
		if least := c.cfg.Concurrency * largest; c.cfg.MaxAckPending < least {
			c.faults = append(c.faults, fmt.Errorf("MaxAckPending is %d: %d workers with batches of %d messages need at least %d",
				c.cfg.MaxAckPending, c.cfg.Concurrency, largest, least))
		}
		room = min(room, c.cfg.MaxAckPending)
	}
	c.cfg.Prefetch = max(c.cfg.Prefetch, room-c.cfg.Concurrency)
	c.cfg.MaxAckPending = max(c.cfg.MaxAckPending, c.cfg.capacity())
	c.ledger.limit = c.cfg.MaxAckPending + c.cfg.capacity()
}
