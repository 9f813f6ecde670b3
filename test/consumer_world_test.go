package test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
)

// consumerWorld is a database with an inbox and effects, and a broker with a stream.
type consumerWorld struct {
	dsn    string
	db     *sql.DB
	nats   *natstest.Server
	js     jetstream.JetStream
	server *dbserver.Server
}

func newConsumerWorld(t *testing.T, dsn string) *consumerWorld {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	in, err := inbox.NewSQL(inbox.SQLConfig{})
	must(t, err)
	must(t, in.EnsureSchema(t.Context(), db))
	must(t, in.EnsureSchema(t.Context(), db)) // a second time changes nothing
	srv := natstest.Start(t)
	js, err := jetstream.New(srv.Connect(t))
	must(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}})
	must(t, err)
	return &consumerWorld{dsn: dsn, db: db, nats: srv, js: js}
}

func consumerConfig() consumer.Config {
	return consumer.Config{
		Name:         "c",
		AckWait:      time.Second,
		DrainTimeout: 10 * time.Second,
		Backoff:      consumer.Backoff{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond},
		Logger:       slog.New(slog.DiscardHandler),
	}
}

func (w *consumerWorld) publish(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		m := nats.NewMsg("outbox.things")
		m.Header.Set(binjet.HeaderID, id)
		m.Header.Set(binjet.HeaderTopic, "things")
		m.Data = []byte("x")
		_, err := w.js.PublishMsg(t.Context(), m)
		must(t, err)
	}
}

// effect is what a handler does: it inserts the message's ID.
func effect(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO effects (id) VALUES (?)", m.ID)
	return err
}

// run starts a consumer with one HandleTx handler and returns what drains it.
func (w *consumerWorld) run(t *testing.T, cfg consumer.Config, h consumer.TxHandler) (*consumer.Consumer, func() error) {
	t.Helper()
	c, err := consumer.New(w.js, cfg)
	must(t, err)
	c.HandleTx("things", w.db, h)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { must(t, stop()) })
	return c, stop
}

// wantEffects checks that there are n effects, each once, and n marks.
func (w *consumerWorld) wantEffects(t *testing.T, n int) {
	t.Helper()
	wantSQL(t, w.db, "SELECT COUNT(*) FROM effects", fmt.Sprint(n))
	wantSQL(t, w.db, "SELECT COUNT(DISTINCT id) FROM effects", fmt.Sprint(n))
	wantSQL(t, w.db, "SELECT COUNT(*) FROM inbox WHERE consumer = 'c'", fmt.Sprint(n))
}

func consumerEventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
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
