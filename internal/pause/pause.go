// Package pause waits, for those who have a context.
package pause

import (
	"context"
	"time"
)

// For waits for d, or until ctx ends: then it returns ctx.Err(). It doesn't wait for
// nothing or less.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
