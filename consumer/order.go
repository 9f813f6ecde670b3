package consumer

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Order says which messages wait for which.
type Order int

const (
	// Unordered messages wait for none: all processes of a name take from one
	// durable consumer, and a message that is retried is overtaken.
	Unordered Order = iota
	// ByKey messages wait for those before them that have the same key
	// (Outbox-Key): different keys run in parallel, each key in the order of the
	// stream, also while a message is retried, waits for its Deliver-At, or moves to
	// another process. A dead letter no longer holds up its key. Messages without a
	// key are not ordered.
	//
	// Processes of one name share the stream's partitions (stream.partitions of
	// the relay). Of a stream without partitions one process takes all, and the
	// others stand by.
	ByKey
)

// Defaults of [Config] for ByKey.
const (
	DefaultOrderedConcurrency = 8
	DefaultHeartbeat          = time.Second
	DefaultMaxBytes           = 64 << 20
)

func (o Order) String() string {
	switch o {
	case Unordered:
		return "Unordered"
	case ByKey:
		return "ByKey"
	}
	return fmt.Sprintf("Order(%d)", int(o))
}

// setOrderDefaults comes before the others, which differ by order.
func (c *Config) setOrderDefaults() {
	if c.Ordered == ByKey {
		setDefault(&c.Concurrency, DefaultOrderedConcurrency)
		setDefault(&c.Heartbeat, DefaultHeartbeat)
		setDefault(&c.MaxBytes, DefaultMaxBytes)
	}
}

// validateOrder checks what only Ordered is about.
func (c Config) validateOrder(check func(ok bool, format string, args ...any)) {
	check(c.Ordered == Unordered || c.Ordered == ByKey, "Ordered is %s: give Unordered or ByKey", c.Ordered)
	if c.Ordered != ByKey {
		check(c.Heartbeat == 0 && c.MaxBytes == 0, "Heartbeat and MaxBytes go with Ordered: ByKey and only with it")
		return
	}
	check(c.Heartbeat >= 50*time.Millisecond, "Heartbeat is %s: at least 50ms is needed", c.Heartbeat)
	check(c.MaxBytes > 0, "MaxBytes is %d: it has to be positive", c.MaxBytes)
	last := c.DeliverPolicy == jetstream.DeliverLastPolicy || c.DeliverPolicy == jetstream.DeliverLastPerSubjectPolicy
	check(!last, "DeliverPolicy %s does not go with Ordered: ByKey, since it leaves out what came before", c.DeliverPolicy)
}
