package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/consumer/inbox/inboxtest"
	"github.com/binjet/binjet/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMemoryPassesTheSuite(t *testing.T) {
	inboxtest.RunInbox(t, func(*testing.T) inboxtest.InboxStore {
		return inboxtest.InboxStore{Alone: true, New: func(*testing.T) (inbox.Inbox, func()) { return inbox.NewMemory(0), func() {} }}
	})
}

// kvWorld is a broker with a connection of the test's own.
type kvWorld struct {
	srv *natstest.Server
	js  jetstream.JetStream
}

func newKVWorld(t *testing.T) *kvWorld {
	t.Helper()
	w := &kvWorld{srv: natstest.Start(t)}
	w.js = w.connect(t)
	return w
}

func (w *kvWorld) connect(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(w.srv.Connect(t))
	must(t, err)
	return js
}

// process is an inbox over a connection of its own.
func (w *kvWorld) process(t *testing.T, cfg inbox.KVConfig) (*tracked, func()) {
	t.Helper()
	js := w.connect(t)
	kv, err := inbox.NewKV(js, cfg)
	must(t, err)
	in := &tracked{KV: kv}
	t.Cleanup(in.end)
	return in, js.Conn().Close
}

// tracked ends with the test the claims that the test leaves open, which would
// otherwise be renewed for ever.
type tracked struct {
	*inbox.KV
	mu     sync.Mutex
	claims []inbox.Claim
}

func (k *tracked) Claim(ctx context.Context, consumer, id string) (inbox.Claim, error) {
	c, err := k.KV.Claim(ctx, consumer, id)
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.claims = append(k.claims, c)
	}
	return c, err
}

func (k *tracked) end() {
	for _, c := range k.claims {
		_ = c.Release(context.Background()) // most have ended before
	}
}

func TestKVPassesTheSuite(t *testing.T) {
	t.Parallel()
	inboxtest.RunInbox(t, func(t *testing.T) inboxtest.InboxStore {
		w := newKVWorld(t)
		return inboxtest.InboxStore{
			New: func(t *testing.T) (inbox.Inbox, func()) {
				in, die := w.process(t, inbox.KVConfig{Lease: time.Second})
				return in, die
			},
			Restart: func(*testing.T) { w.srv.Restart() },
		}
	})
}

// bucketOf gives the bucket of consumer c, to look into.
func (w *kvWorld) bucketOf(t *testing.T) jetstream.KeyValue {
	t.Helper()
	kv, err := w.js.KeyValue(t.Context(), "binjet-inbox-c")
	must(t, err)
	return kv
}

func claimKV(t *testing.T, in inbox.Inbox, id string) inbox.Claim {
	t.Helper()
	c, err := in.Claim(t.Context(), "c", id)
	must(t, err)
	return c
}

func wantKV(t *testing.T, in inbox.Inbox, id string, want error) {
	t.Helper()
	if _, err := in.Claim(t.Context(), "c", id); !errors.Is(err, want) {
		t.Errorf("claim %s: %v, want %v", id, err, want)
	}
}

// awaitRevision waits until the key was written n times, all keys counted.
func (w *kvWorld) awaitRevision(t *testing.T, key string, n uint64, meanwhile func()) {
	t.Helper()
	kv := w.bucketOf(t)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		e, err := kv.Get(t.Context(), key)
		must(t, err)
		if e.Revision() >= n {
			tick.Stop()
			return
		}
		meanwhile()
	}
}

// TestKVLivingClaimIsKept: while it is renewed, for longer than its lease, nobody gets it.
func TestKVLivingClaimIsKept(t *testing.T) {
	t.Parallel()
	w := newKVWorld(t)
	cfg := inbox.KVConfig{Lease: 3 * time.Second}
	holder, _ := w.process(t, cfg)
	other, _ := w.process(t, cfg)
	c := claimKV(t, holder, "1")
	w.awaitRevision(t, "1", 6, func() { wantKV(t, other, "1", inbox.ErrBusy) })
	must(t, c.Done(t.Context()))
	wantKV(t, other, "1", inbox.ErrDone)
}

// TestKVBusySaysForHowLong: first the lease, then less and less.
func TestKVBusySaysForHowLong(t *testing.T) {
	w := newKVWorld(t)
	holder, _ := w.process(t, inbox.KVConfig{Lease: time.Hour})
	other, _ := w.process(t, inbox.KVConfig{Lease: time.Minute})
	claimKV(t, holder, "1")
	last := time.Hour + 1 // the holder's lease counts, not the observer's
	for range 3 {
		_, err := other.Claim(t.Context(), "c", "1")
		var busy *inbox.BusyError
		if !errors.As(err, &busy) || busy.After >= last || busy.After < 59*time.Minute {
			t.Fatalf("got %v, %+v, after %s", err, busy, last)
		}
		last = busy.After
	}
}

// TestKVTakenOver: a process that was frozen comes back and ends what another one
// has taken over. What was handled stays marked, whoever says what afterwards.
func TestKVTakenOver(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, frozen, next inbox.Claim){
		"the frozen one was done": func(t *testing.T, frozen, next inbox.Claim) {
			must(t, frozen.Done(t.Context()))
			must(t, next.Release(t.Context()))
		},
		"the next one was done": func(t *testing.T, frozen, next inbox.Claim) {
			must(t, next.Done(t.Context()))
			must(t, frozen.Release(t.Context()))
		},
		"the frozen one failed": func(t *testing.T, frozen, next inbox.Claim) {
			must(t, frozen.Release(t.Context()))
			must(t, next.Done(t.Context()))
		},
		"both were done": func(t *testing.T, frozen, next inbox.Claim) {
			must(t, frozen.Done(t.Context()))
			must(t, next.Done(t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newKVWorld(t)
			holder, _ := w.process(t, inbox.KVConfig{Lease: time.Hour})
			frozen := claimKV(t, holder, "1")
			e, err := w.bucketOf(t).Get(t.Context(), "1")
			must(t, err)
			// As if it had been frozen for longer than its lease.
			_, err = w.bucketOf(t).Update(t.Context(), "1", []byte(strings.ReplaceAll(string(e.Value()), `"lease":"1h0m0s"`, `"lease":"1ns"`)), e.Revision())
			must(t, err)
			other, _ := w.process(t, inbox.KVConfig{})
			next := claimKV(t, other, "1")
			end(t, frozen, next)
			third, _ := w.process(t, inbox.KVConfig{})
			for _, in := range []inbox.Inbox{holder, other, third} {
				wantKV(t, in, "1", inbox.ErrDone)
			}
		})
	}
}

// TestKVOwnClaimIsTakenAgain: a claim that was written without this process
// learning it (a lost answer) does not make it wait for its own lease.
func TestKVOwnClaimIsTakenAgain(t *testing.T) {
	w := newKVWorld(t)
	in, _ := w.process(t, inbox.KVConfig{Lease: time.Hour})
	c := claimKV(t, in, "1")
	e, err := w.bucketOf(t).Get(t.Context(), "1")
	must(t, err)
	must(t, c.Release(t.Context()))
	_, err = w.bucketOf(t).Put(t.Context(), "1", e.Value()) // as if it had arrived late
	must(t, err)
	must(t, claimKV(t, in, "1").Done(t.Context()))
	wantKV(t, in, "1", inbox.ErrDone)
}

// TestKVMarkThatFails: this process still knows what it handled, and marks it when
// it can.
func TestKVMarkThatFails(t *testing.T) {
	w := newKVWorld(t)
	in, _ := w.process(t, inbox.KVConfig{Timeout: 200 * time.Millisecond})
	c := claimKV(t, in, "1")
	w.srv.Stop()
	if err := c.Done(t.Context()); err == nil {
		t.Fatal("marked without a broker")
	}
	wantKV(t, in, "1", inbox.ErrDone)
	if _, err := in.Claim(t.Context(), "c", "2"); err == nil || errors.Is(err, inbox.ErrBusy) || errors.Is(err, inbox.ErrDone) {
		t.Errorf("a claim without a broker: %v", err)
	}
	w.srv.Start()
	w.awaitDone(t, "1", func() { wantKV(t, in, "1", inbox.ErrDone) })
	next, _ := w.process(t, inbox.KVConfig{})
	wantKV(t, next, "1", inbox.ErrDone)
}

// awaitDone waits until the bucket says so.
func (w *kvWorld) awaitDone(t *testing.T, key string, meanwhile func()) {
	t.Helper()
	kv := w.bucketOf(t)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		meanwhile()
		e, err := kv.Get(t.Context(), key)
		if err == nil && strings.Contains(string(e.Value()), `"state":"done"`) {
			tick.Stop()
			return
		}
	}
}

// TestKVRetention: the bucket forgets by itself.
func TestKVRetention(t *testing.T) {
	t.Parallel()
	w := newKVWorld(t)
	in, _ := w.process(t, inbox.KVConfig{Lease: time.Second, Retention: 2 * time.Second})
	if in.Retention() != 2*time.Second {
		t.Errorf("Retention is %s", in.Retention())
	}
	must(t, claimKV(t, in, "1").Done(t.Context()))
	wantKV(t, in, "1", inbox.ErrDone)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		_, err := in.Claim(t.Context(), "c", "1")
		if err == nil {
			tick.Stop()
			return
		}
		if !errors.Is(err, inbox.ErrDone) {
			t.Fatal(err)
		}
	}
}

// TestKVForeignRecords: an operator's deletion frees a key; what can't be read is
// an error and no claim.
func TestKVForeignRecords(t *testing.T) {
	w := newKVWorld(t)
	in, _ := w.process(t, inbox.KVConfig{})
	must(t, in.Prepare(t.Context(), "c"))
	kv := w.bucketOf(t)
	for id, remove := range map[string]func(context.Context, string, ...jetstream.KVDeleteOpt) error{"del": kv.Delete, "purge": kv.Purge} {
		must(t, claimKV(t, in, id).Done(t.Context()))
		must(t, remove(t.Context(), id))
		must(t, claimKV(t, in, id).Done(t.Context()))
	}
	newer, err := json.Marshal(map[string]any{"v": 2, "state": "something"})
	must(t, err)
	for id, value := range map[string]string{"text": "hello", "newer": string(newer)} {
		_, err := kv.PutString(t.Context(), id, value)
		must(t, err)
		if _, err := in.Claim(t.Context(), "c", id); err == nil || !strings.Contains(err.Error(), "key "+id) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestKVBucket(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		have jetstream.KeyValueConfig // no bucket without a description
		cfg  inbox.KVConfig
		want string // in the error
		ttl  time.Duration
	}{
		"absent":                 {cfg: inbox.KVConfig{Retention: day}, ttl: day},
		"absent, for ever":       {},
		"absent, not managed":    {cfg: inbox.KVConfig{Unmanaged: true}, want: "no such bucket"},
		"longer":                 {have: jetstream.KeyValueConfig{TTL: 2 * day}, cfg: inbox.KVConfig{Retention: day}, ttl: 2 * day},
		"shorter":                {have: jetstream.KeyValueConfig{TTL: day}, cfg: inbox.KVConfig{Retention: 2 * day}, ttl: 2 * day},
		"not for ever":           {have: jetstream.KeyValueConfig{TTL: day}},
		"shorter, not managed":   {have: jetstream.KeyValueConfig{TTL: day}, cfg: inbox.KVConfig{Retention: 2 * day, Unmanaged: true}, want: "24h0m0s, and KVConfig.Retention is 48h0m0s"},
		"in memory":              {have: jetstream.KeyValueConfig{Storage: jetstream.MemoryStorage}, want: "kept in memory"},
		"with history":           {have: jetstream.KeyValueConfig{History: 5}},
		"as large as it may get": {have: jetstream.KeyValueConfig{MaxBytes: 1 << 20}}, // it refuses, and drops nothing
	} {
		t.Run(name, func(t *testing.T) {
			w := newKVWorld(t)
			if !strings.HasPrefix(name, "absent") {
				c.have.Bucket = "binjet-inbox-c"
				_, err := w.js.CreateKeyValue(t.Context(), c.have)
				must(t, err)
			}
			in, _ := w.process(t, c.cfg)
			err := in.Prepare(t.Context(), "c")
			var bad *inbox.SchemaError
			if c.want != "" {
				if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || bad.Table != "binjet-inbox-c" {
					t.Errorf("got %v, want %q", err, c.want)
				}
				return
			}
			must(t, err)
			must(t, claimKV(t, in, "1").Done(t.Context()))
			status, err := w.bucketOf(t).Status(t.Context())
			must(t, err)
			if status.TTL() != c.ttl {
				t.Errorf("the bucket's time to live is %s, want %s", status.TTL(), c.ttl)
			}
		})
	}
}

// TestKVDropsNothing: a bucket that would drop old marks for room is refused.
func TestKVDropsNothing(t *testing.T) {
	w := newKVWorld(t)
	_, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KV_binjet-inbox-c", Subjects: []string{"$KV.binjet-inbox-c.>"}, MaxMsgsPerSubject: 1, MaxMsgs: 100, Discard: jetstream.DiscardOld,
	})
	must(t, err)
	in, _ := w.process(t, inbox.KVConfig{})
	if err := in.Prepare(t.Context(), "c"); err == nil || !strings.Contains(err.Error(), "drops old marks") {
		t.Errorf("got %v", err)
	}
}

func TestKVConfig(t *testing.T) {
	js, err := jetstream.New(&nats.Conn{})
	must(t, err)
	for _, cfg := range []inbox.KVConfig{
		{Retention: -1}, {Lease: time.Millisecond}, {Retention: time.Minute, Lease: time.Minute}, {Timeout: -1}, {Replicas: -1},
	} {
		if _, err := inbox.NewKV(js, cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	if _, err := inbox.NewKV(nil, inbox.KVConfig{}); err == nil {
		t.Error("no JetStream context is taken")
	}
}

// TestKVInADomain: buckets and their leader are reached through the context's own prefix.
func TestKVInADomain(t *testing.T) {
	srv := natstest.Start(t, func(o *server.Options) { o.JetStreamDomain = "hub" })
	js, err := jetstream.NewWithDomain(srv.Connect(t), "hub")
	must(t, err)
	in, err := inbox.NewKV(js, inbox.KVConfig{})
	must(t, err)
	must(t, claimKV(t, in, "a.b").Done(t.Context()))
	wantKV(t, in, "a.b", inbox.ErrDone)
}
