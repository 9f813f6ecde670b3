package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

func (w *world) kv(cfg inbox.KVConfig) *inbox.KV {
	w.t.Helper()
	js, err := jetstream.New(w.srv.Connect(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	in, err := inbox.NewKV(js, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

// TestProcessesShareAKVInbox: copies of a message that come to different processes
// run once.
func TestProcessesShareAKVInbox(t *testing.T) {
	w := newWorld(t)
	const messages, processes = 60, 3
	for range 2 {
		for i := range messages {
			w.publish("a", fmt.Sprint(i))
		}
	}
	var mu sync.Mutex
	runs := map[string]int{}
	var all []*consumer.Consumer
	for range processes {
		cfg := w.config()
		cfg.Inbox, cfg.Concurrency = w.kv(inbox.KVConfig{Lease: time.Second}), 4
		c := w.consumer(cfg)
		c.Handle("a", func(_ context.Context, m *consumer.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if runs[m.ID]++; m.ID == "7" && runs[m.ID] == 1 {
				return fmt.Errorf("boom")
			}
			return nil
		})
		w.run(c)
		all = append(all, c)
	}
	eventually(t, "each handled once, and known once", func() bool {
		var handled, duplicates uint64
		for _, c := range all {
			s := c.Stats()
			handled, duplicates = handled+s.Handled, duplicates+s.Duplicates
		}
		return handled == messages && duplicates == messages
	})
	mu.Lock()
	defer mu.Unlock()
	for id, n := range runs {
		if want := map[bool]int{true: 2, false: 1}[id == "7"]; n != want {
			t.Errorf("%s ran %d times, want %d", id, n, want)
		}
	}
}

// TestWaitsForAClaimOfADeadProcess: for its lease, with a redelivery or two and
// without an attempt, so that nothing is given up unrun.
func TestWaitsForAClaimOfADeadProcess(t *testing.T) {
	w := newWorld(t)
	js, err := jetstream.New(w.srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	dead, err := inbox.NewKV(js, inbox.KVConfig{Lease: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	claim, err := dead.Claim(t.Context(), "c", "1")
	if err != nil {
		t.Fatal(err)
	}
	js.Conn().Close()
	_ = claim.Release(context.Background()) // ends its renewal; the broker is not told
	cfg := w.config()
	cfg.Inbox, cfg.MaxDeliver = w.kv(inbox.KVConfig{Lease: time.Second}), 1
	c := w.consumer(cfg)
	c.Handle("a", nothing)
	w.publish("a", "1")
	w.run(c)
	eventually(t, "handled", func() bool { return c.Stats().Handled == 1 })
	if s := c.Stats(); s.Deferred == 0 || s.Deferred > 3 || s.DeadLettered > 0 {
		t.Errorf("got %+v, want one to three deferrals", s)
	}
}

func TestRefusesABadBucket(t *testing.T) {
	w := newWorld(t)
	_, err := w.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "binjet-inbox-c", Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.Inbox = w.kv(inbox.KVConfig{})
	c := w.consumer(cfg)
	c.Handle("a", nothing)
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "binjet-inbox-c can't be the inbox") {
		t.Errorf("got %v", err)
	}
}
