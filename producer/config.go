package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binjet/binjet"
)

// DefaultMaxStatementBytes is a quarter of the smallest default of
// max_allowed_packet among the supported servers (MariaDB 16 MiB, MySQL 64 MiB).
// Bytes are counted as they are given; a driver that interpolates parameters may
// double them by escaping, and still has half of the packet to spare.
const DefaultMaxStatementBytes = 4 << 20

// maxPacket is the largest max_allowed_packet that a server accepts.
const maxPacket = 1 << 30

// Config says how a [Producer] inserts. The zero value is ready for use.
type Config struct {
	// Table is the outbox table, "name" or "schema.name". Letters, digits, '_',
	// '$' and '-' only. Default: [binjet.DefaultTable].
	Table string

	// MaxBytes bounds payload and headers of one message together, as they lie on
	// the stream. It must not exceed what the relay can publish: the broker's
	// max_payload less 64 KiB. Raise it only together with max_payload.
	// Default: [binjet.DefaultMaxBytes], for the broker's default of 1 MiB.
	MaxBytes int

	// MaxStatementBytes is where an insert of many messages is split into several
	// statements. Keep it at most half of the server's max_allowed_packet. Messages
	// inserted by one call stay in their order, and in one transaction if tx is one.
	// Default: [DefaultMaxStatementBytes], or 2×MaxBytes when that is larger.
	MaxStatementBytes int

	// NewID makes the ID of a message that has none. It is called by several
	// goroutines at once, and what it returns must be unique for ever: consumers
	// take two messages of one ID for one. IDs that grow keep the table's B-tree
	// append-only. Default: UUIDv7, strictly growing within a Producer.
	NewID func() string

	// Inject adds headers that come from the context to every message of an insert,
	// such as the trace context. With OpenTelemetry:
	//
	//	Inject: func(ctx context.Context, h binjet.Headers) {
	//		otel.GetTextMapPropagator().Inject(ctx, h)
	//	}
	//
	// A message that sets one of these names itself gets none of them, so that
	// traceparent and tracestate are never of two traces. Default: nothing is added.
	Inject func(ctx context.Context, h binjet.Headers)

	// Now is the clock, against which DeliverAt and ExpireAfter are checked. It is
	// not written to the table: created_at is the database's. Default: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Table == "" {
		c.Table = binjet.DefaultTable
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = binjet.DefaultMaxBytes
	}
	if c.MaxStatementBytes == 0 {
		c.MaxStatementBytes = max(DefaultMaxStatementBytes, 2*c.MaxBytes)
	}
	if c.NewID == nil {
		c.NewID = new(uuidv7).next
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// validate reports every fault at once. It expects the defaults to be set.
func (c Config) validate() error {
	var faults []error
	if _, err := binjet.QuoteTable(c.Table); err != nil {
		faults = append(faults, err)
	}
	if c.MaxBytes < 0 {
		faults = append(faults, fmt.Errorf("MaxBytes is %d: use a positive number, or 0 for %d", c.MaxBytes, binjet.DefaultMaxBytes))
	}
	switch {
	case c.MaxStatementBytes < 0:
		faults = append(faults, fmt.Errorf("MaxStatementBytes is %d: use a positive number, or 0 for the default", c.MaxStatementBytes))
	case c.MaxStatementBytes > maxPacket:
		faults = append(faults, fmt.Errorf("MaxStatementBytes is %d, more than %d, the largest max_allowed_packet there is", c.MaxStatementBytes, maxPacket))
	case c.MaxStatementBytes < c.MaxBytes:
		faults = append(faults, fmt.Errorf("MaxStatementBytes %d is less than MaxBytes %d: one message would not fit in a statement", c.MaxStatementBytes, c.MaxBytes))
	}
	return errors.Join(faults...)
}
