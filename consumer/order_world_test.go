package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

// keyed publishes the n-th message of a key, in the partition that is the key's.
func (w *world) keyed(partitions int, key string, n int, header ...string) {
	w.t.Helper()
	header = append(header, binjet.HeaderKey, key)
	w.publishOn(binjet.Subject("outbox", "a", key, partitions), "a", fmt.Sprintf("%s.%d", key, n), header...)
}

// load publishes messages 0 to n-1 of each of the keys, interleaved.
func (w *world) load(partitions, keys, n int) {
	w.t.Helper()
	for i := range n {
		w.round(partitions, keys, i)
	}
}

func (w *world) round(partitions, keys, i int) {
	w.t.Helper()
	for k := range keys {
		w.keyed(partitions, fmt.Sprint("k", k), i)
	}
}

// loadOn publishes messages of each of the keys until it is asked how many.
func (w *world) loadOn(partitions, keys int) (each func() int) {
	over, n := make(chan struct{}), make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				n <- i
				return
			default:
				w.round(partitions, keys, i)
			}
		}
	}()
	return sync.OnceValue(func() int { close(over); return <-n })
}

func (w *world) ordered() consumer.Config {
	cfg := w.config()
	cfg.Ordered = consumer.ByKey
	cfg.Heartbeat = 50 * time.Millisecond
	if os.Getenv("BINJET_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return cfg
}

// member is one process's worth of an ordered consumer, with a connection of its own.
type member struct {
	*consumer.Consumer
	w    *world
	nc   *nats.Conn
	done chan error
	stop context.CancelFunc

	mayFail bool // before what makes it fail
}

// join starts a member. Its messages of any topic go to h.
func (w *world) join(cfg consumer.Config, h consumer.Handler) *member {
	w.t.Helper()
	return w.joinWith(cfg, func(c *consumer.Consumer) { c.Handle(">", h) })
}

func (w *world) joinWith(cfg consumer.Config, add func(*consumer.Consumer)) *member {
	w.t.Helper()
	return w.joinOn(w.srv.Connect(w.t), cfg, add)
}

func (w *world) joinOn(nc *nats.Conn, cfg consumer.Config, add func(*consumer.Consumer)) *member {
	w.t.Helper()
	m := &member{w: w, nc: nc, done: make(chan error, 1)}
	js, err := jetstream.New(m.nc)
	if err != nil {
		w.t.Fatal(err)
	}
	if m.Consumer, err = consumer.New(js, cfg); err != nil {
		w.t.Fatal(err)
	}
	add(m.Consumer)
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go func() {
		err := m.Run(ctx)
		if err != nil && !m.mayFail && !errors.Is(err, nats.ErrConnectionClosed) {
			w.t.Errorf("Run: %v", err)
		}
		m.done <- err
	}()
	w.t.Cleanup(func() { _ = m.leave() })
	return m
}

// leave stops it in good order.
func (m *member) leave() error {
	m.stop()
	return m.wait()
}

func (m *member) wait() error {
	select {
	case err := <-m.done:
		m.done <- err
		return err
	case <-time.After(patience):
		return errors.New("Run does not return")
	}
}

// die ends it as a kill would look to the others: without a word.
func (m *member) die() {
	m.nc.Close()
	if err := m.wait(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		m.w.t.Error(err)
	}
}

// shares counts the shares that each living member says it has.
func (w *world) shares() []int {
	w.t.Helper()
	var counts []int
	for _, b := range w.beats() {
		counts = append(counts, len(b.Shares))
	}
	slices.Sort(counts)
	return counts
}

type memberBeat struct {
	Shares map[string]uint64
	At     time.Time
}

// beats reads what members say of themselves, without those that fell silent.
func (w *world) beats() []memberBeat {
	w.t.Helper()
	var all []memberBeat
	w.eachKey("member.", func(_ string, value []byte) {
		var b memberBeat
		if err := json.Unmarshal(value, &b); err != nil {
			w.t.Fatal(err)
		}
		if time.Since(b.At) < time.Second {
			all = append(all, b)
		}
	})
	return all
}

// eachKey reads the keys of the consumer c in the bucket.
func (w *world) eachKey(prefix string, each func(key string, value []byte)) {
	w.t.Helper()
	kv, err := w.js.KeyValue(w.t.Context(), binjet.ConsumerBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := kv.Keys(w.t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "OUTBOX.c."+prefix) {
			continue
		}
		if e, err := kv.Get(w.t.Context(), key); err == nil {
			each(key, e.Value())
		}
	}
}

// shareState is what the record of a share says.
type shareState struct {
	Epoch   uint64
	Owner   string
	Cut     uint64
	Open    []uint64
	Tries   map[string]int
	Crashes int
}

// nothingOpen waits until the shares' records have nothing unfinished before last.
func (w *world) nothingOpen(shares int) {
	w.t.Helper()
	eventually(w.t, "nothing is unfinished in the records", func() bool {
		n := 0
		w.eachKey("share.", func(_ string, value []byte) {
			var s shareState
			if err := json.Unmarshal(value, &s); err != nil {
				w.t.Fatal(err)
			}
			if len(s.Open) == 0 {
				n++
			}
		})
		return n == shares
	})
}

// keyLog is what handlers saw, key by key.
type keyLog struct {
	mu   sync.Mutex
	seen map[string][]string
	n    int
}

func (l *keyLog) add(m *consumer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = make(map[string][]string)
	}
	l.seen[m.Key] = append(l.seen[m.Key], m.ID)
	l.n++
}

func (l *keyLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *keyLog) of(key string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen[key])
}

// wantInOrder checks that each key was seen from 0 to n-1, once.
func (l *keyLog) wantInOrder(t *testing.T, keys, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seen) != keys {
		t.Errorf("%d keys were seen, want %d", len(l.seen), keys)
	}
	for key, ids := range l.seen {
		want := make([]string, n)
		for i := range want {
			want[i] = fmt.Sprintf("%s.%d", key, i)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("key %s: %v, want %d in order", key, ids, n)
		}
	}
}
