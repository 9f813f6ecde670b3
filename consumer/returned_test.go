package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer"
)

// A message goes back and forth between processes that end before they run it, far
// more often than it may be tried, and is at its first attempt still.
func TestHandedBackBetweenProcessesCostsNoAttempt(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver, cfg.AckWait = 3, time.Hour
	w.publish("a", "first")
	w.publish("a", "second")
	var attempts log
	for n := range 20 {
		started, release := make(chan struct{}, 9), make(chan struct{})
		c := w.consumer(cfg)
		c.Handle(">", func(ctx context.Context, m *consumer.Message) error {
			attempts.add(fmt.Sprint(m.Attempt))
			started <- struct{}{}
			<-release
			return ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		<-started
		eventually(t, "one waits behind the one that runs", func() bool { return c.Stats().Held == 2 })
		cancel()
		eventually(t, "the one that waits is handed back", func() bool { return c.Stats().Deferred == 1 })
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		w.publish("a", fmt.Sprint("more", n)) // the one that ran is done; two are needed again
	}
	last := w.consumer(cfg)
	last.Handle(">", func(_ context.Context, m *consumer.Message) error { attempts.add(fmt.Sprint(m.Attempt)); return nil })
	w.run(last)
	eventually(t, "the rest is handled", func() bool { return attempts.count() >= 22 })
	w.settled()
	for _, c := range attempts.String() {
		if c != '1' && c != ' ' {
			t.Fatalf("attempts: %s", &attempts)
		}
	}
}

// The same for messages whose handlers are cut short at DrainTimeout.
func TestCutShortBetweenProcessesCostsNoAttempt(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver, cfg.AckWait, cfg.DrainTimeout = 3, time.Hour, time.Millisecond
	w.publish("a", "1")
	for n := range 20 {
		started := make(chan int, 1)
		c := w.consumer(cfg)
		c.Handle(">", func(ctx context.Context, m *consumer.Message) error {
			started <- m.Attempt
			<-ctx.Done()
			return ctx.Err()
		})
		stop := w.run(c)
		if got := <-started; got != 1 {
			t.Fatalf("process %d runs attempt %d", n, got)
		}
		if err := stop(); err == nil {
			t.Fatal("it was not cut short")
		}
		if s := c.Stats(); s.Deferred != 1 || s.DeadLettered > 0 {
			t.Fatalf("process %d: %+v", n, s)
		}
	}
}
