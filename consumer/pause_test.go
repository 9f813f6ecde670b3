package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer"
)

// TestPause: what runs comes to its end, nothing begins, what waits stays alive
// longer than AckWait and is at its first attempt, and Resume goes on where it was.
func TestPause(t *testing.T) {
	for _, order := range []consumer.Order{consumer.Unordered, consumer.ByKey} {
		t.Run(order.String(), func(t *testing.T) {
			w := newWorld(t)
			cfg := w.config()
			cfg.Ordered, cfg.Concurrency = order, 1
			if order == consumer.ByKey {
				cfg.Heartbeat = 100 * time.Millisecond
			}
			c := w.consumer(cfg)
			started, release := make(chan struct{}, 20), make(chan struct{})
			var seen log
			c.Handle(">", func(_ context.Context, m *consumer.Message) error {
				started <- struct{}{}
				<-release
				seen.add(fmt.Sprint(m.ID, "/", m.Attempt))
				return nil
			})
			stop := w.run(c)
			for i := range 4 {
				w.publish("a", fmt.Sprint(i))
			}
			<-started
			c.Pause()
			c.Pause()
			if s := c.Status(); s.State != consumer.StatePaused || s.Since.IsZero() {
				t.Errorf("paused: %+v", s)
			}
			close(release)
			eventually(t, "the one that ran has ended", func() bool { return c.Stats().Handled == 1 })
			over := time.After(2 * cfg.AckWait)
			select {
			case <-started:
				t.Fatal("a handler began while the consumer was paused")
			case <-over:
			}
			c.Resume()
			eventually(t, "the others", func() bool { return seen.count() == 4 })
			if got := seen.String(); got != "0/1 1/1 2/1 3/1" {
				t.Errorf("handled %s", got)
			}
			if s := c.Status(); s.State != consumer.StateRunning {
				t.Errorf("resumed: %+v", s)
			}
			c.Pause()
			w.publish("a", "4")
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if seen.count() != 4 {
				t.Errorf("a paused consumer that was told to end handled %s", &seen)
			}
		})
	}
}

// TestPausedBeforeRun: it begins when it is told to.
func TestPausedBeforeRun(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	c.Pause()
	c.Handle(">", func(context.Context, *consumer.Message) error { return nil })
	w.publish("a", "1")
	w.run(c)
	eventually(t, "it is paused", func() bool { return c.Status().State == consumer.StatePaused })
	if s := c.Stats(); s.Handled > 0 || s.Held > 0 {
		t.Errorf("paused from the start: %+v", s)
	}
	c.Resume()
	eventually(t, "it is handled", func() bool { return c.Stats().Handled == 1 })
}
