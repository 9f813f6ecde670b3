package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// Middleware changes a message on its way into the table. m is a copy, which has
// its ID, all of its headers (never nil), and in CreatedAt the producer's clock; an
// ID that it changes is kept in the caller's message too. The payload is the
// caller's: it may be replaced, not written to.
//
// An error refuses the whole insert. Middleware runs inside of the caller's
// transaction, for each attempt to insert a message anew: it should be quick and
// have no effects of its own. Several goroutines call it at once.
type Middleware func(ctx context.Context, m *binjet.Message) error

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

	// Retain says whether rows stay in the table: [Keep] or [DeleteInTransaction].
	// Default: [Keep].
	Retain Retain

	// NewID makes the ID of a message that has none. It is called by several
	// goroutines at once, and what it returns must be unique for ever: consumers
	// take two messages of one ID for one. IDs that grow keep the table's B-tree
	// append-only. Default: UUIDv7, strictly growing within a Producer.
	NewID func() string

	// Headers are added to every message, such as the service's name and version. A
	// message that sets one of them keeps its own. Default: none.
	Headers binjet.Headers

	// Inject adds headers that come from the context to every message of an insert,
	// such as the trace context, and is called once for each insert. With OpenTelemetry:
	//
	//	Inject: func(ctx context.Context, h binjet.Headers) {
	//		propagation.TraceContext{}.Inject(ctx, h)
	//	}
	//
	// which adds traceparent and tracestate where ctx has a span, and else nothing.
	// A message that sets one of these names itself gets none of them, so that
	// traceparent and tracestate are never of two traces. Default: nothing is added.
	Inject func(ctx context.Context, h binjet.Headers)

	// Middleware changes messages before they are checked and inserted, one function
	// after the other: to encrypt payloads, to make CloudEvents of them, to derive a
	// key from the context. Default: none.
	Middleware []Middleware

	// Now is the clock, against which DeliverAt and ExpireAfter are checked. It is
	// not written to the table: created_at is the database's. Default: time.Now.
	Now func() time.Time
}

// Retain says what becomes of a row once its event is on its way.
type Retain string

const (
	// Keep leaves rows in the table: `binjet run` removes them later if it is told to
	// (retention.keep), or nobody does. They are what a start snapshot and a rescan
	// publish, what verification compares, and what refuses an event of the same ID.
	Keep Retain = "keep"

	// DeleteInTransaction deletes the rows that an insert has just inserted, in the
	// same transaction. Both are in the binlog, where the insert is read and the delete
	// ignored, so the event is published as ever and the table stays empty.
	//
	// It costs one more round trip for each insert, and the redo log of the delete
	// (docs/tables.md has numbers). And what needs rows is not there any more: no start
	// snapshot, no rescan of purged binlogs (a gap is a loss), no verification, no
	// look-up after a commit of unknown outcome, and no producertest.RequireInserted on
	// a real database. The primary key no longer refuses an
	// ID that was committed before; only the consumers' inboxes do. It takes DELETE on
	// the table, and a transaction: a connection pool is refused by [ErrNotAtomic]. Not
	// for a BLACKHOLE table, which keeps no rows anyway.
	DeleteInTransaction Retain = "delete-in-transaction"
)

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
	if c.Retain == "" {
		c.Retain = Keep
	}
	c.Headers = c.Headers.Clone()
	c.Middleware = slices.Clone(c.Middleware)
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
	if c.Retain != Keep && c.Retain != DeleteInTransaction {
		faults = append(faults, fmt.Errorf("Retain %q is neither %q nor %q", c.Retain, Keep, DeleteInTransaction))
	}
	if err := c.checkHeaders(); err != nil {
		faults = append(faults, err)
	}
	if i := slices.IndexFunc(c.Middleware, func(m Middleware) bool { return m == nil }); i >= 0 {
		faults = append(faults, fmt.Errorf("Config.Middleware[%d] is nil", i))
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

// checkHeaders checks the headers as those of a message, which all of them get.
func (c Config) checkHeaders() error {
	for name := range c.Headers {
		if strings.EqualFold(name, binjet.HeaderContentType) {
			return fmt.Errorf("Config.Headers has a %s: that is the message's own to say", name)
		}
	}
	m := binjet.Message{Topic: "any", Payload: []byte{0}, Headers: c.Headers}
	var invalid *binjet.ValidationError
	if errors.As(m.Validate(max(c.MaxBytes, 0)), &invalid) {
		return fmt.Errorf("Config.Headers: %s", strings.Join(invalid.Faults, "; "))
	}
	return nil
}
