package consumer

import "context"

// Hooks are called at points of a message's life, by the goroutine that handles
// it: they have to be quick and safe for concurrent use. Any may be nil.
// Packages consumerprom and consumerotel have some ready for use; [Hooks.And] puts
// several together.
type Hooks struct {
	// Received is called when the broker has delivered a message, for the first time or
	// again: deliveries is how often it has, as far as it counts. For a consumer with
	// Ordered: ByKey it is called for each attempt of a process, which it counts from 1.
	Received func(msg *Message, deliveries uint64)
	// Start is called before a handler runs, duplicates and deferrals excepted as
	// far as they are known before the inbox is asked.
	Start func(msg *Message)
	// Context is called after Start, and returns the context of the handler and its
	// transaction, made from the one it gets: here a tracer puts a span that hangs on
	// the insert's traceparent, which msg.Headers carries. Handlers of batches have
	// BatchContext.
	Context func(ctx context.Context, msg *Message) context.Context
	// Ended is called when the attempt that Context began is over, with its context. It
	// is not the last word: the breaker may still decide that it was no attempt.
	Ended func(ctx context.Context, msg *Message, out Outcome)
	// BatchContext and BatchEnded are the same for one run of a handler of batches. err
	// is nil when all messages are handled or known; else some come again, or all.
	BatchContext func(ctx context.Context, msgs []*Message) context.Context
	BatchEnded   func(ctx context.Context, msgs []*Message, err error)
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

// And returns hooks that call those of h and then those of others; what ends
// something ([Hooks.Ended], [Hooks.BatchEnded]) in the other order, so that what is
// begun last ends first.
func (h Hooks) And(others Hooks) Hooks {
	return Hooks{
		Received:     both2(h.Received, others.Received),
		Start:        both(h.Start, others.Start),
		Context:      through(h.Context, others.Context),
		Ended:        both3(others.Ended, h.Ended),
		BatchContext: through(h.BatchContext, others.BatchContext),
		BatchEnded:   both3(others.BatchEnded, h.BatchEnded),
		Waiting:      both2(h.Waiting, others.Waiting),
		Breaker:      both(h.Breaker, others.Breaker),
		BeforeSettle: both2(h.BeforeSettle, others.BeforeSettle),
		AfterSettle:  both2(h.AfterSettle, others.AfterSettle),
	}
}

func both[A any](f, g func(A)) func(A) {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(a A) { f(a); g(a) }
}

func both2[A, B any](f, g func(A, B)) func(A, B) {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(a A, b B) { f(a, b); g(a, b) }
}

func both3[A, B, C any](f, g func(A, B, C)) func(A, B, C) {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(a A, b B, c C) { f(a, b, c); g(a, b, c) }
}

func through[A any](f, g func(context.Context, A) context.Context) func(context.Context, A) context.Context {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(ctx context.Context, a A) context.Context { return g(f(ctx, a), a) }
}

// either is g when f is not there.
func either[F any](f, g F, second bool) F {
	if second {
		return g
	}
	return f
}

func (h Hooks) received(msg *Message, deliveries uint64) {
	if h.Received != nil {
		h.Received(msg, deliveries)
	}
}

func (h Hooks) context(ctx context.Context, msg *Message) context.Context {
	if h.Context == nil {
		return ctx
	}
	return h.Context(ctx, msg)
}

func (h Hooks) ended(ctx context.Context, msg *Message, out Outcome) {
	if h.Ended != nil {
		h.Ended(ctx, msg, out)
	}
}

func (h Hooks) batchContext(ctx context.Context, msgs []*Message) context.Context {
	if h.BatchContext == nil {
		return ctx
	}
	return h.BatchContext(ctx, msgs)
}

func (h Hooks) batchEnded(ctx context.Context, msgs []*Message, err error) {
	if h.BatchEnded != nil {
		h.BatchEnded(ctx, msgs, err)
	}
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
