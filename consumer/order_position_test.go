package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// share reads the record of a share.
func (w *world) share(number int) (s shareState) {
	w.t.Helper()
	w.eachKey(fmt.Sprint("share.", number), func(_ string, value []byte) {
		if err := json.Unmarshal(value, &s); err != nil {
			w.t.Fatal(err)
		}
	})
	return s
}

// TestNothingIsRepeatedAfterACleanStop: although one message is not finished and
// a hundred behind it are, and the next process remembers nothing.
func TestNothingIsRepeatedAfterACleanStop(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.Backoff = consumer.Backoff{Min: time.Hour, Max: time.Hour}
	var fails atomic.Bool
	fails.Store(true)
	var got keyLog
	h := func(_ context.Context, m *consumer.Message) error {
		if m.ID == "k0.1" && fails.Load() {
			return errors.New("boom")
		}
		got.add(m)
		return nil
	}
	first := w.join(cfg, h)
	w.load(0, 3, 50)
	eventually(t, "all but those behind k0.1 are handled", func() bool { return first.Stats().Handled == 101 })
	if err := first.leave(); err != nil {
		t.Fatal(err)
	}
	if s := w.share(0); s.Owner != "" || s.Tries["4"] != 1 || len(s.Open) != 49 {
		t.Fatalf("the record is %+v", s)
	}
	fails.Store(false)
	second := w.join(cfg, h)
	eventually(t, "the rest is handled", func() bool { return second.Stats().Handled == 49 })
	if s := second.Stats(); s.Duplicates != 0 {
		t.Errorf("got %+v", s)
	}
	got.wantInOrder(t, 3, 50)
}

// TestAttemptsCountOnWithTheNextOwner, whether the one before left or died.
func TestAttemptsCountOnWithTheNextOwner(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.MaxDeliver = 7
	cfg.DrainTimeout = time.Millisecond
	allowed := make(chan int)
	h := func(ctx context.Context, m *consumer.Message) error {
		select {
		case want := <-allowed:
			if m.Attempt != want {
				t.Errorf("attempt %d is called %d", want, m.Attempt)
			}
			return errors.New("boom")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.keyed(0, "k", 0)
	first := w.join(cfg, h)
	first.mayFail = true // with ErrDrainTimeout
	allowed <- 1
	allowed <- 2
	eventually(t, "two attempts are noted", func() bool { return w.share(0).Tries["1"] == 2 })
	first.die()
	second := w.join(cfg, h)
	second.mayFail = true
	allowed <- 3
	allowed <- 4
	eventually(t, "both failed", func() bool { return second.Stats().Retried == 2 })
	if err := second.leave(); err != nil && !errors.Is(err, consumer.ErrDrainTimeout) {
		t.Fatal(err)
	}
	third := w.join(cfg, h)
	third.mayFail = true
	for n := 5; n <= 7; n++ {
		allowed <- n
	}
	eventually(t, "it is dead", func() bool { return third.Stats().DeadLettered == 1 })
	if n := w.deadLetters()[0].Header.Get(binjet.HeaderDeadAttempts); n != "7" {
		t.Errorf("it died after %s attempts", n)
	}
}

// TestMessageThatKillsItsProcesses: every process that begins it dies on the spot,
// so that no attempt ever fails. It becomes a dead letter, its neighbours are
// handled, and none of them is taken for it.
func TestMessageThatKillsItsProcesses(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.MaxDeliver = 1
	cfg.Inbox = inbox.NewMemory(0)
	var got keyLog
	w.load(0, 4, 3)
	w.keyed(0, "deadly", 0)
	w.keyed(0, "deadly", 1)
	deaths := 0
	for done := false; !done; {
		dying := make(chan struct{})
		hang := make(chan struct{})
		m := w.join(cfg, func(_ context.Context, m *consumer.Message) error {
			if m.ID == "deadly.0" {
				close(dying)
				<-hang
				return errors.New("it is long dead")
			}
			got.add(m)
			return nil
		})
		dead := make(chan struct{})
		go func() {
			for m.Stats().DeadLettered == 0 {
				select {
				case <-hang:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
			close(dead)
		}()
		select {
		case <-dying:
			deaths++
			m.nc.Close()
			close(hang)
			if err := m.wait(); err == nil {
				t.Fatal("it should be dead")
			}
		case <-dead:
			done = true
			close(hang)
			eventually(t, "the one behind it is handled", func() bool { return len(got.of("deadly")) == 1 })
		case <-time.After(patience):
			t.Fatalf("after %d deaths: %+v", deaths, w.share(0))
		}
	}
	if deaths < 11 || deaths > 20 {
		t.Errorf("%d deaths", deaths)
	}
	for k := range 4 {
		if n := len(got.of(fmt.Sprint("k", k))); n != 3 {
			t.Errorf("k%d was handled %d times", k, n)
		}
	}
	if dead := w.deadLetters(); len(dead) != 1 || dead[0].Header.Get(binjet.HeaderID) != "deadly.0" {
		t.Errorf("dead letters: %v", dead)
	}
}

// TestOrderedGoesOnAfterBrokerRestart: what was received and what comes later.
func TestOrderedGoesOnAfterBrokerRestart(t *testing.T) {
	w := newWorld(t, "2")
	cfg := w.ordered()
	cfg.MaxDeliver = consumer.NoLimit
	cfg.Inbox = inbox.NewMemory(0)
	var got keyLog
	a, b := w.join(cfg, failing(&got, 5)), w.join(cfg, failing(&got, 5))
	w.load(2, 20, 10)
	eventually(t, "some are handled", func() bool { return got.count() > 20 })
	w.srv.Restart()
	eventually(t, "connected again", w.nc.IsConnected)
	for i := range 10 {
		for k := range 20 {
			w.keyed(2, fmt.Sprint("k", k), 10+i)
		}
	}
	eventually(t, "all are handled", func() bool { return a.Stats().Handled+b.Stats().Handled == 400 })
	got.wantInOrder(t, 20, 20)
}

// TestLostTail: the broker comes back without its newest messages, some of which
// were handled, and the relay publishes them again, under other numbers.
func TestLostTail(t *testing.T) {
	for _, alive := range []bool{true, false} {
		t.Run(fmt.Sprint("alive ", alive), func(t *testing.T) {
			w := newWorld(t)
			cfg := w.ordered()
			cfg.Inbox = inbox.NewMemory(0)
			var got keyLog
			h := func(_ context.Context, m *consumer.Message) error { got.add(m); return nil }
			w.load(0, 4, 10)
			m := w.join(cfg, h)
			eventually(t, "the first are handled", func() bool { return m.Stats().Handled == 40 })
			stream := filepath.Join(w.srv.StoreDir(), "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", "OUTBOX")
			w.srv.Stop()
			saved := filepath.Join(t.TempDir(), "saved")
			if err := os.CopyFS(saved, os.DirFS(stream)); err != nil {
				t.Fatal(err)
			}
			w.srv.Start()
			eventually(t, "connected again", w.nc.IsConnected)
			for i := 10; i < 20; i++ {
				for k := range 4 {
					w.keyed(0, fmt.Sprint("k", k), i)
				}
			}
			eventually(t, "more are handled", func() bool { return got.count() == 80 })
			if !alive {
				m.die()
			}
			w.srv.Stop()
			if err := errors.Join(os.RemoveAll(stream), os.CopyFS(stream, os.DirFS(saved))); err != nil {
				t.Fatal(err)
			}
			w.srv.Start()
			eventually(t, "connected again", w.nc.IsConnected)
			w.publishOn("binjet.checkpoint.x", "", "") // numbers shift
			for i := 10; i < 30; i++ {
				for k := range 4 {
					w.keyed(0, fmt.Sprint("k", k), i)
				}
			}
			if !alive {
				m = w.join(cfg, h)
			}
			eventually(t, "all are handled", func() bool { return got.count() == 120 })
			got.wantInOrder(t, 4, 30)
			w.nothingOpen(1)
		})
	}
}

// TestBodiesBeyondMaxBytesAreReadAgain when their turn comes.
func TestBodiesBeyondMaxBytesAreReadAgain(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.MaxBytes = 1000
	var got keyLog
	m := w.join(cfg, func(_ context.Context, m *consumer.Message) error {
		if string(m.Payload) != "payload of "+m.ID || m.Headers.Get("Pad") == "" {
			t.Errorf("%s comes with %q", m.ID, m.Payload)
		}
		got.add(m)
		return nil
	})
	pad := strings.Repeat("x", 300)
	for i := range 40 {
		for k := range 3 {
			w.keyed(0, fmt.Sprint("k", k), i, "Pad", pad)
		}
	}
	eventually(t, "all are handled", func() bool { return m.Stats().Handled == 120 })
	got.wantInOrder(t, 3, 40)
}

// TestRemovedWhileItWaited: what the stream no longer holds when its turn comes is
// passed over.
func TestRemovedWhileItWaited(t *testing.T) {
	w := newWorld(t)
	cfg := w.ordered()
	cfg.MaxBytes = 1
	first, release := make(chan struct{}), make(chan struct{})
	var got keyLog
	m := w.join(cfg, func(_ context.Context, m *consumer.Message) error {
		if m.ID == "k.0" {
			close(first)
			<-release
		}
		got.add(m)
		return nil
	})
	for i := range 3 {
		w.keyed(0, "k", i)
	}
	<-first
	eventually(t, "all three are here", func() bool { return m.Stats().Held == 3 })
	stream, err := w.js.Stream(t.Context(), "OUTBOX")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	close(release)
	eventually(t, "the third is handled", func() bool { s := m.Stats(); return s.Handled == 2 && s.Ignored == 1 })
	if ids := fmt.Sprint(got.of("k")); ids != "[k.0 k.2]" {
		t.Errorf("got %s", ids)
	}
	w.nothingOpen(1)
}

func TestBatchesKeepTheOrderOfKeys(t *testing.T) {
	w := newWorld(t, "2")
	cfg := w.ordered()
	cfg.MaxDeliver = consumer.NoLimit
	var got keyLog
	var runs atomic.Int32
	m := w.joinWith(cfg, func(c *consumer.Consumer) {
		c.HandleBatch(">", consumer.BatchOptions{MaxMessages: 10, MaxWait: 5 * time.Millisecond}, func(_ context.Context, msgs []*consumer.Message) error {
			keys := map[string]bool{}
			for _, m := range msgs {
				if keys[m.Key] {
					t.Errorf("two messages of %s in a batch", m.Key)
				}
				keys[m.Key] = true
			}
			failed := consumer.BatchError{}
			if runs.Add(1)%5 == 0 {
				failed[msgs[0].ID] = errors.New("boom")
			}
			for _, m := range msgs[len(failed):] {
				got.add(m)
			}
			return failed
		})
	})
	w.load(2, 20, 10)
	eventually(t, "all are handled", func() bool { return m.Stats().Handled == 200 })
	got.wantInOrder(t, 20, 10)
}

func TestFromUnorderedToByKeyAndNotBack(t *testing.T) {
	w := newWorld(t, "2")
	var got keyLog
	h := func(_ context.Context, m *consumer.Message) error { got.add(m); return nil }
	old := w.join(w.config(), h)
	old.mayFail = true
	w.load(2, 4, 5)
	eventually(t, "handled without order", func() bool { return old.Stats().Handled == 20 })
	cfg := w.ordered()
	ordered := w.join(cfg, h)
	if err := old.wait(); err == nil || !strings.Contains(err.Error(), "Ordered: ByKey") {
		t.Errorf("the unordered one that still ran: %v", err)
	}
	for i := 5; i < 10; i++ {
		for k := range 4 {
			w.keyed(2, fmt.Sprint("k", k), i)
		}
	}
	eventually(t, "handled by key", func() bool { return ordered.Stats().Handled == 20 })
	got.wantInOrder(t, 4, 10)
	if err := ordered.leave(); err != nil {
		t.Error(err)
	}
	back := w.consumer(w.config())
	back.Handle(">", h)
	if err := back.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "OUTBOX.c.>") {
		t.Errorf("back to no order: %v", err)
	}
	if _, err := w.js.Consumer(t.Context(), "OUTBOX", "c"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("it left a durable consumer: %v", err)
	}
}

// TestStreamMadeAnew: the consumer begins anew with it; the same stream with other
// partitions is refused.
func TestStreamMadeAnew(t *testing.T) {
	w := newWorld(t, "2")
	cfg := w.ordered()
	cfg.Inbox = inbox.NewMemory(0)
	var got keyLog
	h := func(_ context.Context, m *consumer.Message) error { got.add(m); return nil }
	w.load(2, 4, 5)
	m := w.join(cfg, h)
	eventually(t, "handled", func() bool { return m.Stats().Handled == 20 })
	if err := w.js.DeleteStream(t.Context(), "OUTBOX"); err != nil {
		t.Fatal(err)
	}
	stream := jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}, Metadata: map[string]string{binjet.MetadataPartitions: "3"}}
	if _, err := w.js.CreateStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		for k := range 4 {
			w.keyed(3, fmt.Sprint("k", k), i)
		}
	}
	eventually(t, "the new ones are handled, the old ones known", func() bool { s := m.Stats(); return s.Handled == 40 && s.Duplicates == 20 })
	got.wantInOrder(t, 4, 10)
	if err := m.leave(); err != nil {
		t.Error(err)
	}
	stream.Metadata[binjet.MetadataPartitions] = "4"
	if _, err := w.js.UpdateStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	c := w.consumer(cfg)
	c.Handle(">", h)
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "4 partitions") {
		t.Errorf("with other partitions: %v", err)
	}
}

func TestOrderedBegins(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*consumer.Config)
		want   []string
	}{
		"at the first":  {func(*consumer.Config) {}, []string{"k.0", "k.1", "k.2", "k.3"}},
		"with new ones": {func(c *consumer.Config) { c.DeliverPolicy = jetstream.DeliverNewPolicy }, []string{"k.3"}},
		"at a sequence": {func(c *consumer.Config) { c.DeliverPolicy, c.StartSequence = jetstream.DeliverByStartSequencePolicy, 2 }, []string{"k.1", "k.2", "k.3"}},
		"at a later time": {func(c *consumer.Config) {
			c.DeliverPolicy, c.StartTime = jetstream.DeliverByStartTimePolicy, time.Now().Add(-time.Hour)
		}, []string{"k.0", "k.1", "k.2", "k.3"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i := range 3 {
				w.keyed(0, "k", i)
			}
			cfg := w.ordered()
			tc.change(&cfg)
			var got keyLog
			m := w.join(cfg, func(_ context.Context, m *consumer.Message) error { got.add(m); return nil })
			eventually(t, "it has begun", func() bool { return slices.Equal(w.shares(), []int{1}) })
			w.keyed(0, "k", 3)
			eventually(t, "handled", func() bool { return len(got.of("k")) >= len(tc.want) })
			if ids := got.of("k"); fmt.Sprint(ids) != fmt.Sprint(tc.want) {
				t.Errorf("got %v, want %v", ids, tc.want)
			}
			if err := m.leave(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOrderedConsumersAreListed: what the records say is what the members do.
func TestOrderedConsumersAreListed(t *testing.T) {
	w := newWorld(t, "2")
	list, err := consumer.OrderedConsumers(t.Context(), w.js, "")
	if err != nil || len(list) != 0 {
		t.Fatalf("before any: %v, %v", list, err)
	}
	cfg := w.ordered()
	var got keyLog
	m := w.join(cfg, func(_ context.Context, m *consumer.Message) error { got.add(m); return nil })
	w.load(2, 4, 3)
	eventually(t, "all handled", func() bool { return m.Stats().Handled == 12 })
	eventually(t, "it to be noted", func() bool {
		list, err = consumer.OrderedConsumers(t.Context(), w.js, "")
		return err == nil && len(list) == 1 && len(list[0].Shares) == 2 && len(list[0].Members) == 1 && len(list[0].Members[0].Shares) == 2 &&
			list[0].Shares[0].Unfinished+list[0].Shares[1].Unfinished == 0 && max(list[0].Shares[0].Done, list[0].Shares[1].Done) == 12
	})
	one := list[0]
	if one.Name != cfg.Name || one.Partitions != 2 || len(one.Topics) != 1 || one.Shares[0].Owner != one.Members[0].Instance || one.Shares[1].Floor != one.Shares[1].Done+1 {
		t.Errorf("got %+v", one)
	}
	if err := m.leave(); err != nil {
		t.Fatal(err)
	}
	list, err = consumer.OrderedConsumers(t.Context(), w.js, "")
	if err != nil || len(list) != 1 || len(list[0].Members) != 0 || list[0].Shares[0].Owner != "" {
		t.Errorf("after it left: %+v, %v", list, err)
	}
}
