package consumer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
)

// Discard is what a handler returns when no retry can help: the message becomes
// a dead letter at once, with err as the reason. The handler's transaction is
// rolled back.
func Discard(err error) error { return &discardError{err} }

// ErrDiscarded is what [Discard] is through errors.Is, so that a hook can tell what was
// given up at once from what has failed too often.
var ErrDiscarded = errors.New("discarded")

type discardError struct{ err error }

func (e *discardError) Is(target error) bool { return target == ErrDiscarded }

func (e *discardError) Error() string {
	if e.err == nil {
		return "discarded"
	}
	return "discarded: " + e.err.Error()
}

func (e *discardError) Unwrap() error { return e.err }

// RetryAfter is what a handler returns to be tried again after d rather than
// after the backoff. It counts as an attempt: the last one ends as a dead letter.
func RetryAfter(d time.Duration, err error) error { return &retryError{d, err} }

type retryError struct {
	after time.Duration
	err   error
}

func (e *retryError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("retry after %s", e.after)
	}
	return fmt.Sprintf("retry after %s: %v", e.after, e.err)
}

func (e *retryError) Unwrap() error { return e.err }

// PanicError is what a handler's panic becomes; the message is retried like
// after any error. The stack is logged.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Unwrap returns the value when it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Backoff is the wait before a retry: Min after the first attempt, doubled after
// each further one up to Max, of which a random part of up to a half is left
// off, so that messages that failed together do not come back together.
type Backoff struct{ Min, Max time.Duration }

func (b Backoff) delay(attempt int) time.Duration {
	d := b.most(attempt)
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}

func (b Backoff) most(attempt int) time.Duration {
	d := b.Min
	for i := 1; i < attempt && d < b.Max; i++ {
		d *= 2
	}
	return min(d, b.Max)
}

// least is the shortest wait after an attempt; none before the first.
func (b Backoff) least(attempt int) time.Duration {
	if attempt < 1 {
		return 0
	}
	return b.most(attempt) / 2
}

// Kind says how a delivery ended.
type Kind int

// The ways a delivery ends.
const (
	// Handled: the handler succeeded; the message is acknowledged.
	Handled Kind = iota + 1
	// Duplicate: the inbox knew the message; it is acknowledged without a run.
	Duplicate
	// Retried: the attempt failed; the message comes back after Delay.
	Retried
	// Deferred: the handler did not run, or was cut short by the end of Run; the
	// message comes back after Delay and no attempt is counted.
	Deferred
	// DeadLettered: the message lies in the dead-letter stream and is terminated.
	DeadLettered
	// Ignored: the broker's own marker, not an event; it is acknowledged.
	Ignored
	// Skipped: nothing here knows the message, and the config says [UnknownSkip];
	// it is acknowledged.
	Skipped
	// Expired: it was past its ExpireAfter when its turn came; it is acknowledged
	// without a run.
	Expired

	kinds = iota + 1
)

func (k Kind) String() string {
	names := [...]string{"unknown", "handled", "duplicate", "retried", "deferred", "dead-lettered", "ignored", "skipped", "expired"}
	if k < 0 || int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Outcome is how a delivery ended and why.
type Outcome struct {
	Kind Kind
	// Err is why, for Retried, Deferred, DeadLettered, Skipped and Expired.
	Err error
	// Delay is when the message comes back, for Retried and Deferred.
	Delay time.Duration
	// Took is how long the handler ran, with its transaction; 0 when it did not.
	Took time.Duration
}

// errNotRun says that Run ended before the handler could start.
var errNotRun = errors.New("the handler did not run")

// handBackDelay is the wait of a message that this process gives back unhandled.
// It is not zero, because a bare negative acknowledgement is another thing to the broker.
const handBackDelay = time.Millisecond

// spareDeliveries is how far above MaxDeliver a message may be delivered without
// a result before it is given up unrun. It is what stops a message that kills
// every process that touches it; messages handed back use up some of it.
const spareDeliveries = 10

// busyFor is what an inbox knows of how long the other copy's claim may still
// stand. To come back before that would only use up deliveries.
func busyFor(err error) time.Duration {
	var busy *inbox.BusyError
	if errors.As(err, &busy) {
		return busy.After
	}
	return 0
}

// policy turns the end of an attempt into what to tell the broker.
type policy struct {
	maxDeliver  int
	backoff     Backoff
	unknownType Unknown
}

func (c Config) policy() policy { return policy{c.MaxDeliver, c.Backoff, c.UnknownType} }

// Outcome is what becomes of a message whose handler returned err at that
// attempt, under c with its defaults. It does nothing; tests use it.
func (c Config) Outcome(err error, attempt int) Outcome {
	return c.WithDefaults().policy().decide(err, attempt, false)
}

// decide is the one place that says what an error means. stopping is true when
// the handler's context was cancelled by the end of Run.
func (p policy) decide(err error, attempt int, stopping bool) Outcome {
	var discard *discardError
	var retry *retryError
	switch {
	case err == nil:
		return Outcome{Kind: Handled}
	case errors.As(err, &discard):
		return Outcome{Kind: DeadLettered, Err: err}
	case errors.Is(err, ErrUnknownType):
		return p.unknown(p.unknownType, err)
	case errors.Is(err, inbox.ErrBusy):
		return Outcome{Kind: Deferred, Err: err, Delay: max(p.backoff.delay(1), busyFor(err))}
	case stopping, errors.Is(err, errNotRun):
		return Outcome{Kind: Deferred, Err: err, Delay: handBackDelay}
	case p.maxDeliver != NoLimit && attempt >= p.maxDeliver:
		return Outcome{Kind: DeadLettered, Err: err}
	case errors.As(err, &retry):
		return Outcome{Kind: Retried, Err: err, Delay: max(retry.after, handBackDelay)}
	}
	return Outcome{Kind: Retried, Err: err, Delay: p.backoff.delay(attempt)}
}

// hopeless reports whether a delivery is so far above the limit that the message
// must have killed those that tried.
func (p policy) hopeless(attempt int) bool {
	return p.maxDeliver != NoLimit && attempt > p.maxDeliver+spareDeliveries
}
