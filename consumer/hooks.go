package consumer

import (
	"context"
	"sync/atomic"
)

// Hooks are called at points of a message's life, by the goroutine that handles
// it: they have to be quick and safe for concurrent use. Any may be nil.
type Hooks struct {
	// Start is called before a handler runs, duplicates and deferrals excepted as
	// far as they are known before the inbox is asked.
	Start func(msg *Message)
	// Context is called after Start, and returns the context of the handler and its
	// transaction, made from the one it gets: here a tracer puts a span that is linked
	// to the insert's traceparent, which msg.Headers carries. Handlers of batches have none.
	Context func(ctx context.Context, msg *Message) context.Context
	// Waiting is called when the inbox could not be asked and the message waits
	// to ask again; the handler has not run.
	Waiting func(msg *Message, err error)
	// Breaker is called when the circuit breaker has changed its state, in the order
	// of the changes. It may not wait for a message to be handled.
	Breaker func(BreakerStatus)
	// BeforeSettle is called when the outcome is certain (a transaction is
	// committed, a dead letter is stored) and the broker has not been told.
	BeforeSettle func(msg *Message, out Outcome)
	// AfterSettle is called when the broker has been told.
	AfterSettle func(msg *Message, out Outcome)
}

func (h Hooks) context(ctx context.Context, msg *Message) context.Context {
	if h.Context == nil {
		return ctx
	}
	return h.Context(ctx, msg)
}

func (h Hooks) start(msg *Message) {
	if h.Start != nil {
		h.Start(msg)
	}
}

func (h Hooks) waiting(msg *Message, err error) {
	if h.Waiting != nil {
		h.Waiting(msg, err)
	}
}

func (h Hooks) beforeSettle(msg *Message, out Outcome) {
	if h.BeforeSettle != nil {
		h.BeforeSettle(msg, out)
	}
}

func (h Hooks) afterSettle(msg *Message, out Outcome) {
	if h.AfterSettle != nil {
		h.AfterSettle(msg, out)
	}
}

// Stats count deliveries by how they ended, since New.
type Stats struct {
	Handled, Duplicates, Retried, Deferred, DeadLettered, Ignored, Skipped, Expired uint64
	// Held is how many messages this process holds now, running or buffered.
	Held int
}

// counters count by [Kind].
type counters [kinds]atomic.Uint64

func (c *counters) stats(held int) Stats {
	return Stats{
		Handled:      c[Handled].Load(),
		Duplicates:   c[Duplicate].Load(),
		Retried:      c[Retried].Load(),
		Deferred:     c[Deferred].Load(),
		DeadLettered: c[DeadLettered].Load(),
		Ignored:      c[Ignored].Load(),
		Skipped:      c[Skipped].Load(),
		Expired:      c[Expired].Load(),
		Held:         held,
	}
}
