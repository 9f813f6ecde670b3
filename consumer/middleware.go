package consumer

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"
)

// Handler handles one message. A nil error acknowledges it; see [Discard],
// [RetryAfter] and the package's documentation for the others. ctx is cancelled
// only when Run was told to end and DrainTimeout has passed.
type Handler func(ctx context.Context, msg *Message) error

// Middleware wraps a handler. It is called once, when the handler is added, and
// what it returns runs for each attempt, inside the inbox: not for duplicates,
// and for HandleTx inside the transaction.
type Middleware func(next Handler) Handler

// chain wraps h so that the first middleware is the outermost, under a recover
// that is always there.
func chain(h Handler, mw ...Middleware) Handler {
	for i := len(mw) - 1; i >= 0; i-- {
		h = mw[i](h)
	}
	return Recover()(h)
}

// Recover turns a panic into a [PanicError]. It is always on, outermost; add it
// yourself only to see the error in a middleware of yours.
func Recover() Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, msg *Message) (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = &PanicError{Value: v, Stack: debug.Stack()}
				}
			}()
			return next(ctx, msg)
		}
	}
}

// ErrTimeout is the cause of a context that [Timeout] has ended.
var ErrTimeout = errors.New("the handler's time is over")

// Timeout ends the handler's context after d. The handler has to heed it: nothing
// stops one that does not.
func Timeout(d time.Duration) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, msg *Message) error {
			ctx, cancel := context.WithTimeoutCause(ctx, d, ErrTimeout)
			defer cancel()
			return next(ctx, msg)
		}
	}
}

// Logging logs the end of every attempt: a success at debug, a failure at warn.
func Logging(log *slog.Logger) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, msg *Message) error {
			start := time.Now()
			err := next(ctx, msg)
			attrs := append(msg.attrs(), slog.Duration("took", time.Since(start)))
			if err != nil {
				log.LogAttrs(ctx, slog.LevelWarn, "handler failed", append(attrs, slog.Any("error", err))...)
				return err
			}
			log.LogAttrs(ctx, slog.LevelDebug, "handler succeeded", attrs...)
			return nil
		}
	}
}

// attrs identify a message in the log.
func (m *Message) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("id", m.ID),
		slog.String("topic", m.Topic),
		slog.Uint64("sequence", m.Sequence),
		slog.Int("attempt", m.Attempt),
	}
}
