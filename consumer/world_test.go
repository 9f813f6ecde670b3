package consumer_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/natstest"
)

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
	return worldOn(t, natstest.Start(t), nil, metadata...)
}

// worldOn is a world on a server that the test started.
func worldOn(t *testing.T, srv *natstest.Server, opt nats.Option, metadata ...string) *world {
	t.Helper()
	if opt == nil {
		opt = nats.Name("test")
	}
	nc := srv.Connect(t, opt)
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
		Logger:  slog.New(slog.DiscardHandler),
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

// widen sets the durable consumer's filter, as another process with other topics does.
func (w *world) widen(filter string) {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), "OUTBOX")
	if err != nil {
		w.t.Fatal(err)
	}
	cons, err := stream.Consumer(w.t.Context(), "c")
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := cons.CachedInfo().Config
	cfg.FilterSubjects = []string{filter}
	if _, err := stream.UpdateConsumer(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
}
