package consumer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binjet/binjet/consumer"
)

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		h := consumer.RateLimit(10, 2)(func(context.Context, *consumer.Message) error {
			at = append(at, time.Since(start))
			return nil
		})
		for range 4 {
			if err := h(t.Context(), &consumer.Message{}); err != nil {
				t.Fatal(err)
			}
		}
		if at[1] != 0 || at[2] != 100*time.Millisecond || at[3] != 200*time.Millisecond {
			t.Errorf("ran at %v", at)
		}
	})
}

func TestBatchRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := consumer.BatchRateLimit(10, 2)(func(context.Context, []*consumer.Message) error { return nil })
		for range 2 { // a batch larger than the burst, twice
			if err := h(t.Context(), make([]*consumer.Message, 5)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 800*time.Millisecond {
			t.Errorf("10 messages at 10 per second with a burst of 2 took %s", took)
		}
	})
}

func TestRateLimitHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := consumer.RateLimit(1, 1)(func(context.Context, *consumer.Message) error { return nil })
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, consumer.ErrTimeout)
		defer cancel()
		_ = h(ctx, &consumer.Message{})
		if err := h(ctx, &consumer.Message{}); !errors.Is(err, consumer.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		time.Sleep(999 * time.Millisecond) // of the bubble's clock
		start := time.Now()
		if err := h(t.Context(), &consumer.Message{}); err != nil || time.Since(start) > 0 {
			t.Errorf("the turn that was not taken is gone: waited %s, %v", time.Since(start), err)
		}
	})
}

func TestRateLimitRefusesNonsense(t *testing.T) {
	for _, nonsense := range []func(){
		func() { consumer.RateLimit(0, 1) },
		func() { consumer.BatchRateLimit(1, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("nonsense is taken")
				}
			}()
			nonsense()
		}()
	}
}

// What waits for its turn when Run ends is handed back, not failed.
func TestStopWhileRateLimited(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver, cfg.DrainTimeout = 1, patience
	cfg.Middleware = []consumer.Middleware{consumer.RateLimit(0.0001, 1)}
	starts := make(chan string, 10)
	cfg.Hooks.Start = func(m *consumer.Message) { starts <- m.ID }
	c := w.consumer(cfg)
	c.Handle(">", nothing)
	w.publish("a", "1")
	w.publish("a", "2")
	stop := w.run(c)
	<-starts
	<-starts // the second is at the limit or on its way there
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Handled != 1 || s.Deferred != 1 {
		t.Fatalf("got %+v", s)
	}
}
