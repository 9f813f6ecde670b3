package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// world is a broker with the stream of a relay.
type world struct {
	t   *testing.T
	srv *natstest.Server
	nc  *nats.Conn
	js  jetstream.JetStream
}

func newWorld(t *testing.T, metadata ...string) *world {
	t.Helper()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>", "binjet.checkpoint.*"}, AllowMsgTTL: true}
	if len(metadata) > 0 {
		cfg.Metadata = map[string]string{binjet.MetadataPartitions: metadata[0]}
	}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return &world{t, srv, nc, js}
}

func (w *world) config() consumer.Config {
	return consumer.Config{
		Name:    "c",
		Backoff: consumer.Backoff{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond},
		AckWait: time.Second,
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// publish stores an event as the relay does. header pairs come on top.
func (w *world) publish(topic, id string, header ...string) {
	w.t.Helper()
	w.publishOn(binjet.Subject("outbox", topic, "", 0), topic, id, header...)
}

func (w *world) publishOn(subject, topic, id string, header ...string) {
	w.t.Helper()
	m := nats.NewMsg(subject)
	if id != "" {
		m.Header.Set(binjet.HeaderID, id)
	}
	m.Header.Set(binjet.HeaderTopic, topic)
	for i := 0; i+1 < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	m.Data = []byte("payload of " + id)
	if _, err := w.js.PublishMsg(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

// run starts c and returns what ends it and waits for it.
func (w *world) run(c *consumer.Consumer) (stop func() error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-done:
			case <-time.After(patience):
				err = errors.New("Run does not return")
			}
		})
		return err
	}
	w.t.Cleanup(func() {
		if err := stop(); err != nil && !errors.Is(err, consumer.ErrDrainTimeout) {
			w.t.Error(err)
		}
	})
	return stop
}

func (w *world) consumer(cfg consumer.Config) *consumer.Consumer {
	w.t.Helper()
	c, err := consumer.New(w.js, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// eventually polls until ok, or fails.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// log is what handlers saw.
type log struct {
	mu   sync.Mutex
	seen []string
}

func (l *log) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, s)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.seen, " ")
}

func (l *log) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// settled waits until the broker holds nothing more for the consumer.
func (w *world) settled() {
	w.t.Helper()
	eventually(w.t, "everything is settled", func() bool {
		cons, err := w.js.Consumer(w.t.Context(), "OUTBOX", "c")
		if err != nil {
			return false
		}
		i := cons.CachedInfo()
		return i.NumPending == 0 && i.NumAckPending == 0 && i.NumRedelivered == 0
	})
}

func (w *world) deadLetters() []*jetstream.RawStreamMsg {
	w.t.Helper()
	dlq, err := w.js.Stream(w.t.Context(), "OUTBOX_DLQ")
	if err != nil {
		w.t.Fatal(err)
	}
	var dead []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= dlq.CachedInfo().State.LastSeq; seq++ {
		m, err := dlq.GetMsg(w.t.Context(), seq)
		if err != nil {
			w.t.Fatal(err)
		}
		dead = append(dead, m)
	}
	return dead
}

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
