package consumer

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"
)

// BatchMiddleware wraps a handler of batches as [Middleware] does one of single
// messages. What it returns runs for each try, also for the parts of a batch that
// failed as a whole, inside the inbox, and for HandleBatchTx inside the transaction.
type BatchMiddleware func(next BatchHandler) BatchHandler

// chainBatch wraps h with the consumer's middlewares and its own.
func (c *Consumer) chainBatch(h BatchHandler, own []BatchMiddleware) BatchHandler {
	mw := append(append([]BatchMiddleware(nil), c.cfg.BatchMiddleware...), own...)
	for i := len(mw) - 1; i >= 0; i-- {
		h = mw[i](h)
	}
	return aside(BatchRecover()(h))
}

// aside runs h in a goroutine of its own and waits for it, so that a
// runtime.Goexit in it is a failure like any other and costs no worker.
func aside(h BatchHandler) BatchHandler {
	return func(ctx context.Context, msgs []*Message) error {
		end := make(chan error, 1)
		go func() {
			err := errGoexit
			defer func() { end <- err }()
			err = h(ctx, msgs)
		}()
		return <-end
	}
}

// BatchRecover is [Recover] for batches. It is always on, outermost.
func BatchRecover() BatchMiddleware {
	return func(next BatchHandler) BatchHandler {
		return func(ctx context.Context, msgs []*Message) (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = &PanicError{Value: v, Stack: debug.Stack()}
				}
			}()
			return next(ctx, msgs)
		}
	}
}

// BatchTimeout is [Timeout] for batches: d is for the whole batch.
func BatchTimeout(d time.Duration) BatchMiddleware {
	return func(next BatchHandler) BatchHandler {
		return func(ctx context.Context, msgs []*Message) error {
			ctx, cancel := context.WithTimeoutCause(ctx, d, ErrTimeout)
			defer cancel()
			return next(ctx, msgs)
		}
	}
}

// BatchLogging is [Logging] for batches: one line for each run.
func BatchLogging(log *slog.Logger) BatchMiddleware {
	return func(next BatchHandler) BatchHandler {
		return func(ctx context.Context, msgs []*Message) error {
			start := time.Now()
			err := next(ctx, msgs)
			attrs := []slog.Attr{
				slog.Int("messages", len(msgs)),
				slog.Uint64("first_sequence", msgs[0].Sequence),
				slog.Duration("took", time.Since(start)),
			}
			if err != nil {
				log.LogAttrs(ctx, slog.LevelWarn, "batch handler failed", append(attrs, slog.Any("error", err))...)
				return err
			}
			log.LogAttrs(ctx, slog.LevelDebug, "batch handler succeeded", attrs...)
			return nil
		}
	}
}
