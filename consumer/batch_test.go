package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// eight is a batch that is full with eight messages and waits for them.
func eight() consumer.BatchOptions {
	return consumer.BatchOptions{MaxMessages: 8, MaxWait: patience}
}

func idsOf(msgs []*consumer.Message) string {
	var ids []string
	for _, m := range msgs {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, ",")
}

// runBatch publishes the IDs and runs a batch handler on them.
func (w *world) runBatch(cfg consumer.Config, opts consumer.BatchOptions, h consumer.BatchHandler, ids ...string) (*consumer.Consumer, *log) {
	w.t.Helper()
	for _, id := range ids {
		w.publish("a", id)
	}
	seen := &log{}
	c := w.consumer(cfg)
	c.HandleBatch(">", opts, func(ctx context.Context, msgs []*consumer.Message) error {
		seen.add(idsOf(msgs))
		return h(ctx, msgs)
	})
	w.run(c)
	return c, seen
}

func all(context.Context, []*consumer.Message) error { return nil }

func TestBatchesAreFilledInStreamOrder(t *testing.T) {
	w := newWorld(t)
	c, seen := w.runBatch(w.config(), consumer.BatchOptions{MaxMessages: 3, MaxWait: patience}, all, "1", "2", "3", "4", "5", "6")
	eventually(t, "all are handled", func() bool { return c.Stats().Handled == 6 })
	if seen.String() != "1,2,3 4,5,6" {
		t.Fatalf("batches are %s", seen)
	}
	w.settled()
}

func TestBatchEndsAtItsTimeAndAtItsBytes(t *testing.T) {
	w := newWorld(t)
	c, seen := w.runBatch(w.config(), consumer.BatchOptions{MaxMessages: 100, MaxWait: time.Millisecond}, all, "1")
	eventually(t, "a lone message does not wait for ever", func() bool { return c.Stats().Handled == 1 })
	if seen.String() != "1" {
		t.Fatalf("batches are %s", seen)
	}

	w = newWorld(t)
	opts := consumer.BatchOptions{MaxMessages: 100, MaxBytes: 1300, MaxWait: patience}
	fill := strings.Repeat("x", 400)
	w.publish("a", "1", "Fill", fill)
	w.publish("a", "2", "Fill", fill)
	w.publish("a", "3", "Fill", fill+fill+fill) // larger than any batch
	w.publish("a", "4", "Fill", fill)
	w.publish("a", "5", "Fill", fill)
	w.publish("a", "6", "Fill", fill)
	c, seen = w.runBatch(w.config(), opts, all)
	eventually(t, "what is full was handled", func() bool { return c.Stats().Handled == 5 })
	if seen.String() != "1,2 3 4,5" {
		t.Fatalf("batches are %s", seen)
	}
}

func TestAnotherHandlersMessageEndsTheBatch(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	var seen log
	note := func(_ context.Context, msgs []*consumer.Message) error { seen.add(idsOf(msgs)); return nil }
	c.HandleBatch("a", eight(), note)
	c.HandleBatch("b", consumer.BatchOptions{MaxMessages: 2, MaxWait: patience}, note)
	c.Handle("c", func(_ context.Context, m *consumer.Message) error { seen.add(m.ID); return nil })
	at := time.Now().Add(time.Hour).Format(time.RFC3339Nano)
	w.publish("a", "1")
	w.publish("a", "later", binjet.HeaderDeliverAt, at)
	w.publish("a", "", "Nats-Marker-Reason", "MaxAge")
	w.publish("a", "2")
	w.publish("b", "3")
	w.publish("a", "4")
	w.publish("c", "5")
	w.publish("b", "6")
	w.publish("b", "7")
	w.run(c)
	eventually(t, "all are handled", func() bool { s := c.Stats(); return s.Handled == 7 && s.Deferred == 1 && s.Ignored == 1 })
	if seen.String() != "1,2 3 4 5 6,7" {
		t.Fatalf("got %s", &seen)
	}
}

// One message that always fails: its neighbours are handled at once, and only it is retried and dies.
func TestPoisonIsFoundAmongTheBatch(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error":   func() error { return errors.New("boom") },
		"panic":   func() error { panic("ouch") },
		"goexit":  func() error { runtime.Goexit(); return nil },
		"discard": func() error { return consumer.Discard(errors.New("no use")) },
		"unnamed": func() error { return consumer.BatchError{"who": errors.New("boom")} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.config()
			cfg.MaxDeliver = 2
			c, seen := w.runBatch(cfg, eight(), func(_ context.Context, msgs []*consumer.Message) error {
				if strings.Contains(idsOf(msgs), "poison") {
					return fail()
				}
				return nil
			}, "1", "2", "3", "4", "5", "poison", "7", "8")
			eventually(t, "seven are handled, one is dead", func() bool { s := c.Stats(); return s.Handled == 7 && s.DeadLettered == 1 })
			want := "1,2,3,4,5,poison,7,8 1,2,3,4 5,poison,7,8 5,poison 5 poison 7,8"
			if name != "discard" {
				want += " poison"
			}
			if seen.String() != want {
				t.Errorf("got  %s\nwant %s", seen, want)
			}
			if dead := w.deadLetters(); len(dead) != 1 || dead[0].Header.Get(binjet.HeaderID) != "poison" {
				t.Errorf("dead letters: %v", dead)
			}
			w.settled()
		})
	}
}

func TestBatchErrorNamesMessages(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver = 3
	c, seen := w.runBatch(cfg, eight(), func(_ context.Context, msgs []*consumer.Message) error {
		failed := consumer.BatchError{}
		for _, m := range msgs {
			switch {
			case m.ID == "bad":
				failed[m.ID] = consumer.Discard(errors.New("no use"))
			case m.ID == "fails":
				failed[m.ID] = errors.New("boom")
			case m.ID == "later" && m.Attempt == 1:
				failed[m.ID] = consumer.RetryAfter(time.Millisecond, nil)
			case m.ID == "fine":
				failed[m.ID] = nil
			}
		}
		return fmt.Errorf("wrapped: %w", failed)
	}, "1", "2", "bad", "fails", "later", "fine", "3", "4")
	eventually(t, "six are handled, two are dead", func() bool { s := c.Stats(); return s.Handled == 6 && s.DeadLettered == 2 })
	if c.Stats().Retried != 3 {
		t.Errorf("%d retries, want one of later and two of fails", c.Stats().Retried)
	}
	got := strings.Fields(seen.String())
	slices.Sort(got[1:])
	if strings.Join(got, " ") != "1,2,bad,fails,later,fine,3,4 fails fails later" {
		t.Errorf("batches are %s", seen)
	}
	w.settled()
}

func TestWholeBatchComesBackLater(t *testing.T) {
	w := newWorld(t)
	c, seen := w.runBatch(w.config(), consumer.BatchOptions{MaxMessages: 3, MaxWait: patience}, func(_ context.Context, msgs []*consumer.Message) error {
		if msgs[0].Attempt == 1 {
			return consumer.RetryAfter(time.Millisecond, errors.New("too many requests"))
		}
		return nil
	}, "1", "2", "3")
	eventually(t, "all are handled", func() bool { s := c.Stats(); return s.Handled == 3 && s.Retried == 3 })
	if got := strings.Fields(seen.String()); len(got) != 4 || got[0] != "1,2,3" {
		t.Errorf("batches are %s", seen)
	}
}

// At its only attempt a batch may not die as a whole.
func TestWholeBatchAtItsLastAttemptIsParted(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver = 1
	c, _ := w.runBatch(cfg, consumer.BatchOptions{MaxMessages: 3, MaxWait: patience}, func(_ context.Context, msgs []*consumer.Message) error {
		if len(msgs) > 1 || msgs[0].ID == "2" {
			return consumer.RetryAfter(time.Millisecond, errors.New("too many requests"))
		}
		return nil
	}, "1", "2", "3")
	eventually(t, "one is dead", func() bool { s := c.Stats(); return s.Handled == 2 && s.DeadLettered == 1 })
}

func TestCopiesInOneBatchRunOnce(t *testing.T) {
	w := newWorld(t)
	c, seen := w.runBatch(w.config(), eight(), all, "1", "2", "1", "3", "1", "2", "4", "5")
	eventually(t, "three are known", func() bool { s := c.Stats(); return s.Handled == 5 && s.Duplicates == 3 })
	if seen.String() != "1,2,3,4,5" {
		t.Errorf("batches are %s", seen)
	}
	w.settled()
}

func TestClaimOfAnotherBatchIsPutOff(t *testing.T) {
	w := newWorld(t)
	in := inbox.NewMemory(0)
	running, err := in.Claim(t.Context(), "c", "busy")
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.Inbox = in
	c, seen := w.runBatch(cfg, consumer.BatchOptions{MaxMessages: 3, MaxWait: patience}, all, "1", "busy", "2")
	eventually(t, "the others are handled", func() bool { s := c.Stats(); return s.Handled == 2 && s.Deferred > 0 })
	if seen.String() != "1,2" {
		t.Errorf("batches are %s", seen)
	}
	if err := running.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // with these the next batch is full
		w.publish("a", fmt.Sprint("more", i))
	}
	eventually(t, "then it is known", func() bool { s := c.Stats(); return s.Duplicates == 1 && s.Handled == 4 })
}

func TestBatchWaitsForItsInbox(t *testing.T) {
	w := newWorld(t)
	in := &failingInbox{Inbox: inbox.NewMemory(0)}
	in.failures.Store(3)
	cfg := w.config()
	cfg.Inbox, cfg.MaxDeliver = in, 1
	c, _ := w.runBatch(cfg, consumer.BatchOptions{MaxMessages: 3, MaxWait: patience}, all, "1", "2", "3")
	eventually(t, "handled", func() bool { return c.Stats().Handled == 3 })
	if s := c.Stats(); s.Retried+s.Deferred+s.DeadLettered > 0 {
		t.Fatalf("got %+v", s)
	}
}

// A claim that was made is given back when a later one of the batch can't be.
func TestBatchStopsWhileItsInboxIsDown(t *testing.T) {
	w := newWorld(t)
	in := &failingInbox{Inbox: inbox.NewMemory(0)}
	waits := make(chan error, 10)
	cfg := w.config()
	cfg.Inbox, cfg.MaxDeliver = in, 1
	cfg.Backoff = consumer.Backoff{Min: time.Hour, Max: time.Hour}
	cfg.Hooks.Waiting = func(_ *consumer.Message, err error) { waits <- err }
	cfg.Hooks.Start = func(m *consumer.Message) {
		if m.ID == "2" {
			in.failures.Store(1 << 40)
		}
	}
	for _, id := range []string{"1", "2"} {
		w.publish("a", id)
	}
	c := w.consumer(cfg)
	c.HandleBatch(">", consumer.BatchOptions{MaxMessages: 2, MaxWait: patience}, all)
	stop := w.run(c)
	<-waits
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Deferred != 2 || s.DeadLettered > 0 {
		t.Fatalf("got %+v", s)
	}
	if _, err := in.Inbox.Claim(t.Context(), "c", "1"); err != nil {
		t.Fatalf("the claim was not released: %v", err)
	}
}

func TestStopRunsWhatABatchHasCollected(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	var seen log
	c.HandleBatch(">", eight(), func(_ context.Context, msgs []*consumer.Message) error { seen.add(idsOf(msgs)); return nil })
	w.publish("a", "1")
	w.publish("a", "later", binjet.HeaderDeliverAt, time.Now().Add(time.Hour).Format(time.RFC3339Nano))
	stop := w.run(c)
	eventually(t, "it is collected", func() bool { return c.Stats().Deferred == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Handled != 1 || s.Deferred != 1 || seen.String() != "1" {
		t.Fatalf("got %+v, ran %s", s, &seen)
	}
}

func TestDrainTimeoutCancelsABatch(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.DrainTimeout, cfg.MaxDeliver = 10*time.Millisecond, 1
	for _, id := range []string{"1", "2"} {
		w.publish("a", id)
	}
	c := w.consumer(cfg)
	started := make(chan struct{})
	c.HandleBatch(">", consumer.BatchOptions{MaxMessages: 2, MaxWait: patience}, func(ctx context.Context, _ []*consumer.Message) error {
		close(started)
		<-ctx.Done()
		return consumer.Discard(context.Cause(ctx))
	})
	stop := w.run(c)
	<-started
	if err := stop(); !errors.Is(err, consumer.ErrDrainTimeout) {
		t.Fatalf("got %v", err)
	}
	if s := c.Stats(); s.Deferred != 2 || s.DeadLettered+s.Retried > 0 {
		t.Fatalf("got %+v", s)
	}
}

func TestBatchFaults(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxAckPending = 100
	cfg.Concurrency = 2
	c := w.consumer(cfg)
	c.HandleBatch("a", consumer.BatchOptions{MaxMessages: -1}, all)
	c.HandleBatch("b", consumer.BatchOptions{}, nil)
	c.HandleBatchTx("c", nil, consumer.BatchOptions{}, nil)
	c.HandleBatch("d", consumer.BatchOptions{MaxMessages: 51}, all)
	err := c.Run(t.Context())
	for _, want := range []string{"-1 messages", `topic "b"`, `topic "c"`, "at least 102"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %s in: %v", want, err)
		}
	}
}

func TestBatchMiddleware(t *testing.T) {
	w := newWorld(t)
	var got log
	mark := func(name string) consumer.BatchMiddleware {
		return func(next consumer.BatchHandler) consumer.BatchHandler {
			return func(ctx context.Context, msgs []*consumer.Message) error {
				got.add(name)
				return next(ctx, msgs)
			}
		}
	}
	cfg := w.config()
	cfg.MaxDeliver = 1
	cfg.BatchMiddleware = []consumer.BatchMiddleware{mark("1"), mark("2")}
	c := w.consumer(cfg)
	c.HandleBatch(">", consumer.BatchOptions{MaxMessages: 1}, func(ctx context.Context, _ []*consumer.Message) error {
		<-ctx.Done()
		got.add(context.Cause(ctx).Error())
		return ctx.Err()
	}, mark("3"), consumer.BatchTimeout(time.Millisecond), consumer.BatchLogging(cfg.Logger))
	w.publish("a", "1")
	w.run(c)
	eventually(t, "the message is dead", func() bool { return c.Stats().DeadLettered == 1 })
	if want := "1 2 3 " + consumer.ErrTimeout.Error(); got.String() != want {
		t.Fatalf("got %s, want %s", &got, want)
	}
}

// A batch that has one message of a key does not wait for its time while the next
// of that key waits for it.
func TestBatchByKeyDoesNotWaitForItself(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.ordered())
	var seen log
	c.HandleBatch(">", eight(), func(_ context.Context, msgs []*consumer.Message) error { seen.add(idsOf(msgs)); return nil })
	w.load(0, 1, 10)
	w.run(c)
	eventually(t, "all but the last are handled", func() bool { return c.Stats().Handled == 9 })
	if seen.String() != "k0.0 k0.1 k0.2 k0.3 k0.4 k0.5 k0.6 k0.7 k0.8" {
		t.Errorf("batches are %s", &seen)
	}
}

// When a share has to go to another process, the batch that has messages of it is
// cancelled with it, and the other process handles what was in it.
func TestBatchEndsWithAShareThatGoesElsewhere(t *testing.T) {
	w := newWorld(t, "4")
	cfg := w.ordered()
	cfg.DrainTimeout, cfg.Concurrency = 10*time.Millisecond, 1
	opts := consumer.BatchOptions{MaxMessages: 8, MaxWait: patience}
	started := make(chan struct{}, 100)
	ended := make(chan error, 100)
	first := w.joinWith(cfg, func(c *consumer.Consumer) {
		c.HandleBatch(">", opts, func(ctx context.Context, _ []*consumer.Message) error {
			started <- struct{}{}
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return ctx.Err()
		})
	})
	first.mayFail = true // it is cancelled at its end
	w.load(4, 8, 1)
	<-started
	w.joinWith(cfg, func(c *consumer.Consumer) { c.HandleBatch(">", consumer.BatchOptions{MaxWait: time.Millisecond}, all) })
	select {
	case err := <-ended:
		if !errors.Is(err, consumer.ErrDrainTimeout) {
			t.Errorf("the batch was cancelled because of %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the batch goes on")
	}
	if s := first.Stats(); s.Retried+s.DeadLettered > 0 {
		t.Errorf("got %+v", s)
	}
}
