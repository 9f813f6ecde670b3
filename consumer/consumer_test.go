package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHandlesInStreamOrder(t *testing.T) {
	w := newWorld(t)
	var got log
	c := w.consumer(w.config())
	c.Handle("orders.*", func(_ context.Context, m *consumer.Message) error { got.add(m.ID); return nil })
	var want []string
	for i := range 200 {
		id := fmt.Sprint("m", i)
		want = append(want, id)
		w.publish("orders.created", id)
	}
	w.publish("other", "no")
	stop := w.run(c)
	eventually(t, "200 handled", func() bool { return c.Stats().Handled == 200 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got.String() != strings.Join(want, " ") {
		t.Fatalf("got %s", &got)
	}
	w.settled()
}

func TestRetriesThenDeadLetters(t *testing.T) {
	w := newWorld(t)
	var attempts log
	cfg := w.config()
	cfg.MaxDeliver = 3
	cfg.Breaker.Disabled = true // two messages fail, and nothing succeeds at the end
	c := w.consumer(cfg)
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		attempts.add(fmt.Sprint(m.ID, m.Attempt))
		switch {
		case m.ID == "panics":
			panic("ouch")
		case m.ID == "discards":
			return consumer.Discard(errors.New("no use"))
		case m.ID == "fails":
			return errors.New("boom\nhere")
		case m.ID == "second" && m.Attempt == 1:
			return consumer.RetryAfter(time.Millisecond, errors.New("not yet"))
		}
		return nil
	})
	for _, id := range []string{"fails", "panics", "discards", "second", "good", ""} {
		w.publish("a.b", id, "X-Own", "kept", "Nats-TTL", "1h")
	}
	w.run(c)
	eventually(t, "all ended", func() bool { s := c.Stats(); return s.Handled == 2 && s.DeadLettered == 4 })
	w.settled()
	reasons := map[string]string{}
	for _, m := range w.deadLetters() {
		if m.Subject != "dlq.OUTBOX.c.a.b" || m.Header.Get("X-Own") != "kept" || m.Header.Get("Nats-TTL") != "" {
			t.Errorf("dead letter %s: %v", m.Subject, m.Header)
		}
		if m.Header.Get(binjet.HeaderOriginSubject) != "outbox.a.b" || m.Header.Get(binjet.HeaderOriginSequence) == "" {
			t.Errorf("the origin is missing: %v", m.Header)
		}
		id := m.Header.Get(binjet.HeaderID)
		if string(m.Data) != "payload of "+id {
			t.Errorf("payload is %q", m.Data)
		}
		reasons[id] = m.Header.Get(binjet.HeaderDeadAttempts) + " " + m.Header.Get(binjet.HeaderDeadReason)
	}
	for id, want := range map[string]string{
		"fails": "3 boom here", "panics": "3 handler panicked: ouch", "discards": "1 discarded: no use",
		"": "1 not an event of the outbox: it has no header Outbox-Id",
	} {
		if reasons[id] != want {
			t.Errorf("message %q died of %q, want %q", id, reasons[id], want)
		}
	}
	if !strings.Contains(attempts.String(), "second1") || !strings.Contains(attempts.String(), "second2") {
		t.Errorf("attempts: %s", &attempts)
	}
}

func TestNeverGivenUpWithoutDeadLetterStream(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver, cfg.UnmanagedDeadLetters = 1, true
	cfg.Backoff.Max = 20 * time.Millisecond
	c := w.consumer(cfg)
	c.Handle(">", func(context.Context, *consumer.Message) error { return errors.New("boom") })
	w.publish("a", "1")
	w.run(c)
	eventually(t, "retried beyond the limit", func() bool { return c.Stats().Retried >= 3 })
	if c.Stats().DeadLettered != 0 {
		t.Fatal("it was given up")
	}
	_, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX_DLQ", Subjects: []string{"dlq.OUTBOX.>"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "buried once it can be", func() bool { return c.Stats().DeadLettered == 1 })
	w.settled()
}

func TestDuplicatesRunOnce(t *testing.T) {
	w := newWorld(t)
	var got log
	c := w.consumer(w.config())
	c.Handle(">", func(_ context.Context, m *consumer.Message) error { got.add(m.ID); return nil })
	for range 3 {
		w.publish("a", "same")
	}
	w.run(c)
	eventually(t, "two duplicates", func() bool { s := c.Stats(); return s.Handled == 1 && s.Duplicates == 2 })
	if got.count() != 1 {
		t.Fatalf("ran %d times", got.count())
	}
}

func TestConcurrentCopyWaitsForTheFirst(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Concurrency = 2
	c := w.consumer(cfg)
	release := make(chan struct{})
	var runs log
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		runs.add(m.ID)
		<-release
		return nil
	})
	w.publish("a", "same")
	w.publish("a", "same")
	w.run(c)
	eventually(t, "the second copy is put off", func() bool { return c.Stats().Deferred > 0 })
	close(release)
	eventually(t, "one run, one duplicate", func() bool { s := c.Stats(); return s.Handled == 1 && s.Duplicates == 1 })
	if runs.count() != 1 {
		t.Fatalf("ran %d times", runs.count())
	}
}

func TestLongHandlerAndItsNeighbourAreNotRedelivered(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config()) // AckWait 1s, one runs, one is buffered
	release := make(chan struct{})
	started := make(chan struct{}, 10)
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		started <- struct{}{}
		<-release
		if m.Attempt != 1 {
			return fmt.Errorf("delivered %d times", m.Attempt)
		}
		return nil
	})
	var beats atomic.Int64 // three per AckWait and message
	_, err := w.nc.Subscribe("$JS.ACK.>", func(m *nats.Msg) {
		if string(m.Data) == "+WPI" {
			beats.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.publish("a", "1")
	w.publish("a", "2")
	w.run(c)
	<-started
	eventually(t, "both are held", func() bool { return c.Stats().Held == 2 })
	eventually(t, "signs of life for more than two AckWaits", func() bool { return beats.Load() >= 2*7 })
	close(release)
	eventually(t, "both handled", func() bool { return c.Stats().Handled == 2 })
	if s := c.Stats(); s.Retried+s.Duplicates+s.Deferred != 0 {
		t.Fatalf("something was delivered again: %+v", s)
	}
}

func TestDeliverAtIsKeptAndCostsNoAttempt(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver = 1
	c := w.consumer(cfg)
	at := time.Now().Add(700 * time.Millisecond)
	ran := make(chan *consumer.Message, 1)
	early := make(chan bool, 1)
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		early <- time.Now().Before(at)
		ran <- m
		return nil
	})
	w.publish("a", "1", binjet.HeaderDeliverAt, at.Format(time.RFC3339Nano))
	w.run(c)
	select {
	case m := <-ran:
		if m.Attempt != 1 || <-early {
			t.Fatalf("attempt %d, %s late", m.Attempt, time.Since(at))
		}
	case <-time.After(patience):
		t.Fatal("it never ran")
	}
	if c.Stats().Deferred == 0 {
		t.Fatal("it was not deferred")
	}
}

func TestGoexitCostsAWorkerNothing(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		if m.Attempt == 1 {
			(&testing.T{}).SkipNow() // runtime.Goexit
		}
		return nil
	})
	w.publish("a", "1")
	w.run(c)
	eventually(t, "handled after the retry", func() bool { s := c.Stats(); return s.Handled == 1 && s.Retried == 1 })
}
