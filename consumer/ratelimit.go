package consumer

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/binjet/binjet/internal/runenv"
)

// RateLimit lets handlers run perSecond times a second, and up to burst times at
// once after a pause. Handlers wrapped by the same value share the limit, so one
// in Config.Middleware is for all of them; other processes have their own.
//
// What waits for its turn is kept alive on the broker, however long that takes,
// and is handed back when Run ends, which counts as no attempt. With HandleTx it
// waits inside the transaction, after the claim, so that duplicates cost nothing of
// the limit: each waiting worker keeps a connection of the database. Put it outside
// of [Timeout], or the wait is timed too.
//
// It panics when perSecond is not positive or burst is less than 1.
func RateLimit(perSecond float64, burst int) Middleware {
	limiter := newLimiter(perSecond, burst)
	return func(next Handler) Handler {
		return func(ctx context.Context, msg *Message) error {
			if err := await(ctx, limiter, 1); err != nil {
				return err
			}
			return next(ctx, msg)
		}
	}
}

// BatchRateLimit is [RateLimit] for batches; it counts their messages. A batch
// may be larger than burst.
func BatchRateLimit(perSecond float64, burst int) BatchMiddleware {
	limiter := newLimiter(perSecond, burst)
	return func(next BatchHandler) BatchHandler {
		return func(ctx context.Context, msgs []*Message) error {
			if err := await(ctx, limiter, len(msgs)); err != nil {
				return err
			}
			return next(ctx, msgs)
		}
	}
}

func newLimiter(perSecond float64, burst int) *rate.Limiter {
	if !(perSecond > 0) || burst < 1 {
		panic(fmt.Sprintf("consumer: a rate limit of %v per second with a burst of %d lets nothing through", perSecond, burst))
	}
	return rate.NewLimiter(rate.Limit(perSecond), burst)
}

// await waits for n turns, in portions that the limiter can give.
func await(ctx context.Context, limiter *rate.Limiter, n int) error {
	for n > 0 {
		portion := min(n, limiter.Burst())
		turn := limiter.ReserveN(time.Now(), portion)
		timer := time.NewTimer(turn.Delay())
		select {
		case <-timer.C:
		case <-runenv.From(ctx).Stopping:
			timer.Stop()
			turn.Cancel()
			return fmt.Errorf("%w: it waited for the rate limit", errNotRun)
		case <-ctx.Done():
			timer.Stop()
			turn.Cancel()
			return fmt.Errorf("while waiting for the rate limit: %w", context.Cause(ctx))
		}
		n -= portion
	}
	return nil
}
