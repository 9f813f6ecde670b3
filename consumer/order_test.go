package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// failing fails every n-th run at random, before it has any effect.
func failing(got *keyLog, n int) consumer.Handler {
	return func(_ context.Context, m *consumer.Message) error {
		switch rand.IntN(2 * n) {
		case 0:
			return errors.New("boom")
		case 1:
			panic("ouch")
		}
		got.add(m)
		return nil
	}
}

func TestByKeyKeepsOrderOverRetries(t *testing.T) {
	for _, partitions := range []int{0, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			w := newWorld(t, fmt.Sprint(partitions))
			cfg := w.ordered()
			cfg.MaxDeliver = consumer.NoLimit
			var got keyLog
			m := w.join(cfg, failing(&got, 4))
			w.load(partitions, 10, 30)
			eventually(t, "all handled", func() bool { return m.Stats().Handled == 300 })
			w.nothingOpen(max(partitions, 1))
			if err := m.leave(); err != nil {
				t.Fatal(err)
			}
			got.wantInOrder(t, 10, 30)
			if s := m.Stats(); s.Held != 0 || s.Duplicates != 0 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// TestOnlyTheKeyOfARetryWaits: one key fails all the time, one waits for its time,
// and there are fewer workers than keys that wait. All others are handled, those
// without a key too.
func TestOnlyTheKeyOfARetryWaits(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.Concurrency = 1
	cfg.MaxDeliver = consumer.NoLimit
	cfg.Backoff = consumer.Backoff{Min: time.Hour, Max: time.Hour}
	var got keyLog
	m := w.join(cfg, func(_ context.Context, m *consumer.Message) error {
		if m.Key == "bad" {
			return errors.New("boom")
		}
		got.add(m)
		return nil
	})
	w.keyed(0, "bad", 0)
	w.keyed(0, "later", 0, binjet.HeaderDeliverAt, time.Now().Add(time.Hour).Format(time.RFC3339Nano))
	for i := range 20 {
		w.keyed(0, "bad", i+1)
		w.keyed(0, "later", i+1)
		w.keyed(0, "good", i)
		w.publish("a", fmt.Sprint("keyless", i))
	}
	eventually(t, "the others are handled", func() bool { return m.Stats().Handled == 40 })
	if s := m.Stats(); s.Retried != 1 || s.Deferred != 1 || s.Held != 42 {
		t.Fatalf("got %+v", s)
	}
	if len(got.of("good")) != 20 || len(got.of("")) != 20 || len(got.of("later")) > 0 {
		t.Fatalf("seen: %v", got.seen)
	}
}

func TestDeliverAtHoldsUpItsKey(t *testing.T) {
	w := newWorld(t)
	var got keyLog
	m := w.join(w.ordered(), func(_ context.Context, m *consumer.Message) error { got.add(m); return nil })
	due := time.Now().Add(300 * time.Millisecond)
	w.keyed(0, "k", 0, binjet.HeaderDeliverAt, due.Format(time.RFC3339Nano))
	w.keyed(0, "k", 1)
	eventually(t, "both handled", func() bool { return m.Stats().Handled == 2 })
	if time.Now().Before(due) {
		t.Error("it did not wait")
	}
	got.wantInOrder(t, 1, 2)
}

func TestDeadLetterFreesItsKey(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.MaxDeliver = 3
	var got keyLog
	attempts := make(chan int, 10)
	m := w.join(cfg, func(_ context.Context, m *consumer.Message) error {
		switch m.ID {
		case "k.1":
			attempts <- m.Attempt
			return errors.New("boom")
		case "k.2":
			return consumer.Discard(errors.New("no use"))
		}
		got.add(m)
		return nil
	})
	w.load(0, 1, 1)
	for i := range 5 {
		w.keyed(0, "k", i)
	}
	eventually(t, "all are through", func() bool { s := m.Stats(); return s.Handled == 4 && s.DeadLettered == 2 })
	if ids := got.of("k"); !slices.Equal(ids, []string{"k.0", "k.3", "k.4"}) {
		t.Errorf("got %v", ids)
	}
	for want := 1; want <= 3; want++ {
		if n := <-attempts; n != want {
			t.Errorf("attempt %d is called %d", want, n)
		}
	}
	dead := w.deadLetters()
	if len(dead) != 2 || dead[0].Header.Get(binjet.HeaderDeadAttempts) != "3" || dead[1].Header.Get(binjet.HeaderDeadAttempts) != "1" {
		t.Errorf("dead letters: %+v", dead)
	}
	w.nothingOpen(1)
}

// TestMembersShareTheWork: members come, go and die under load; each has its part,
// each key its order, each message one effect. The inbox is one for all, as a
// table would be.
func TestMembersShareTheWork(t *testing.T) {
	const partitions, keys = 8, 24
	w := newWorld(t, fmt.Sprint(partitions))
	cfg := w.ordered()
	cfg.MaxDeliver = consumer.NoLimit
	cfg.Inbox = inbox.NewMemory(0)
	var got keyLog
	h := failing(&got, 10)
	members := []*member{w.join(cfg, h), w.join(cfg, h), w.join(cfg, h)}
	eventually(t, "three members have their part", func() bool { return slices.Equal(w.shares(), []int{2, 3, 3}) })
	each := w.loadOn(partitions, keys)
	progress := func() {
		t.Helper()
		before := got.count()
		eventually(t, "progress", func() bool { return got.count() > before+keys })
	}
	progress()
	members[0].die()
	eventually(t, "two have its part", func() bool { return slices.Equal(w.shares(), []int{4, 4}) })
	progress()
	members = append(members, w.join(cfg, h), w.join(cfg, h))
	eventually(t, "four have their part", func() bool { return slices.Equal(w.shares(), []int{2, 2, 2, 2}) })
	progress()
	if err := members[1].leave(); err != nil {
		t.Error(err)
	}
	eventually(t, "three have its part", func() bool { return slices.Equal(w.shares(), []int{2, 3, 3}) })
	members[3].die()
	progress()
	n := each()
	eventually(t, "all are handled", func() bool { return got.count() >= keys*n })
	w.nothingOpen(partitions)
	got.wantInOrder(t, keys, n)
}

// TestStandbyTakesOver: of a stream without partitions one has all.
func TestStandbyTakesOver(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.Inbox = inbox.NewMemory(0)
	var got keyLog
	h := failing(&got, 10)
	first := w.join(cfg, h)
	w.load(0, 5, 5)
	eventually(t, "the first works", func() bool { return first.Stats().Handled == 25 })
	second := w.join(cfg, h)
	eventually(t, "the second stands by", func() bool { return slices.Equal(w.shares(), []int{0, 1}) })
	first.die()
	for i := range 5 {
		for k := range 5 {
			w.keyed(0, fmt.Sprint("k", k), 5+i)
		}
	}
	eventually(t, "the second works", func() bool { return got.count() == 50 })
	got.wantInOrder(t, 5, 10)
	third := w.join(cfg, h)
	if err := second.leave(); err != nil {
		t.Error(err)
	}
	w.keyed(0, "k0", 10)
	eventually(t, "the third works", func() bool { return third.Stats().Handled == 1 })
}
