package pause

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		for _, tt := range []struct {
			d, until time.Duration
			want     error
		}{{2 * time.Second, 2 * time.Second, nil}, {0, 2 * time.Second, nil}, {-1, 2 * time.Second, nil},
			{time.Hour, 5 * time.Second, context.DeadlineExceeded}, {0, 5 * time.Second, context.DeadlineExceeded}} {
			if err := For(ctx, tt.d); !errors.Is(err, tt.want) || time.Since(begun) != tt.until {
				t.Errorf("%s: %v after %s", tt.d, err, time.Since(begun))
			}
		}
	})
}
