package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer"
)

// An outage that would take all attempts of all messages costs none a dead letter.
func TestOutageMakesNoDeadLetters(t *testing.T) {
	w := newWorld(t)
	var states log
	var down atomic.Bool
	var vain atomic.Int64
	down.Store(true)
	run := func() *consumer.Consumer {
		cfg := w.config()
		cfg.Concurrency, cfg.MaxDeliver = 4, 2
		cfg.Breaker = consumer.BreakerConfig{Failures: 6, Probe: consumer.Backoff{Min: 5 * time.Millisecond, Max: 10 * time.Millisecond}}
		cfg.Hooks.Breaker = func(s consumer.BreakerStatus) { states.add(s.State.String()) }
		c := w.consumer(cfg)
		c.Handle(">", func(context.Context, *consumer.Message) error {
			if down.Load() {
				vain.Add(1)
				return errors.New("the database is down")
			}
			return nil
		})
		w.run(c)
		return c
	}
	for i := range 40 {
		w.publish("a", fmt.Sprint(i))
	}
	c := run()
	eventually(t, "many messages were tried in vain", func() bool { return vain.Load() >= 60 })
	if s := c.Stats(); s.DeadLettered > 0 || s.Deferred < 40 {
		t.Fatalf("got %+v", s)
	}
	down.Store(false)
	eventually(t, "all handled", func() bool { return c.Stats().Handled == 40 })
	w.settled()
	if got := states.String(); got != "slow open closed" {
		t.Fatalf("its states were: %s", got)
	}
	if dead := w.deadLetters(); len(dead) > 0 {
		t.Fatalf("%d dead letters", len(dead))
	}
}

// Two messages that fail among others that don't become dead letters.
func TestPoisonAmongGoodMessagesIsGivenUp(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver = 5
	c := w.consumer(cfg)
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		if m.Topic == "bad" {
			return errors.New("it can't be handled")
		}
		return nil
	})
	w.run(c)
	w.publish("bad", "b1")
	w.publish("bad", "b2")
	for i := 0; c.Stats().DeadLettered < 2; i++ {
		w.publish("good", fmt.Sprint(i))
		eventually(t, "the good one is handled", func() bool { return c.Stats().Handled > uint64(i) })
	}
	for _, m := range w.deadLetters() {
		if got := m.Header.Get("Outbox-Dead-Attempts"); got != "5" {
			t.Errorf("given up at attempt %s", got)
		}
	}
}

// The breaker's waiting messages are handed back when Run ends.
func TestStopsWhileTheBreakerIsOpen(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Concurrency = 3
	cfg.Breaker = consumer.BreakerConfig{Failures: 2, Probe: consumer.Backoff{Min: time.Hour, Max: time.Hour}}
	opened := make(chan consumer.BreakerStatus, 9)
	cfg.Hooks.Breaker = func(s consumer.BreakerStatus) {
		if s.State == consumer.BreakerOpen {
			opened <- s
		}
	}
	c := w.consumer(cfg)
	c.Handle(">", func(context.Context, *consumer.Message) error { return errors.New("down") })
	for i := range 20 {
		w.publish("a", fmt.Sprint(i))
	}
	stop := w.run(c)
	if s := <-opened; s.Err != "down" || s.Failures < 2 || time.Until(s.Next) < time.Minute {
		t.Errorf("got %+v", s)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Held != 0 || s.DeadLettered > 0 {
		t.Fatalf("got %+v", s)
	}
}

func TestOutageMakesNoDeadLettersOfBatches(t *testing.T) {
	w := newWorld(t)
	var states log
	var down atomic.Bool
	var vain atomic.Int64
	down.Store(true)
	cfg := w.config()
	cfg.MaxDeliver = 2
	cfg.Breaker = consumer.BreakerConfig{Failures: 6, Probe: consumer.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond}}
	cfg.Hooks.Breaker = func(s consumer.BreakerStatus) { states.add(s.State.String()) }
	c := w.consumer(cfg)
	c.HandleBatch(">", consumer.BatchOptions{MaxMessages: 10, MaxWait: time.Millisecond}, func(_ context.Context, msgs []*consumer.Message) error {
		if down.Load() {
			vain.Add(int64(len(msgs)))
			return errors.New("the database is down")
		}
		return nil
	})
	for i := range 40 {
		w.publish("a", fmt.Sprint(i))
	}
	w.run(c)
	eventually(t, "many messages were tried in vain", func() bool { return vain.Load() >= 300 })
	down.Store(false)
	eventually(t, "all handled", func() bool { return c.Stats().Handled == 40 })
	w.settled()
	if got := states.String(); got != "slow open closed" {
		t.Fatalf("its states were: %s", got)
	}
	if s := c.Stats(); s.DeadLettered > 0 {
		t.Fatalf("got %+v", s)
	}
}

// A handler that tells bad messages from good ones has not met an outage.
func TestBatchErrorsDoNotOpenTheBreaker(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver = 1
	cfg.Hooks.Breaker = func(s consumer.BreakerStatus) { t.Errorf("it is %s", s.State) }
	c := w.consumer(cfg)
	c.HandleBatch(">", consumer.BatchOptions{MaxMessages: 40}, func(_ context.Context, msgs []*consumer.Message) error {
		failed := consumer.BatchError{}
		for _, m := range msgs[1:] {
			failed[m.ID] = errors.New("bad")
		}
		return failed
	})
	for i := range 40 {
		w.publish("a", fmt.Sprint(i))
	}
	w.run(c)
	eventually(t, "39 are dead", func() bool { s := c.Stats(); return s.Handled == 1 && s.DeadLettered == 39 })
}
