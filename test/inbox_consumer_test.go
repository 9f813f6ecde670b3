package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/natstest"
)

// TestConsumerOnOtherDatabases: two processes handle copies of messages, some of
// which fail, with their effects in PostgreSQL and SQLite; and the consumer
// deletes old marks by itself.
func TestConsumerOnOtherDatabases(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t testing.TB) inboxDB{"PostgreSQL": inboxPostgres, "SQLite": inboxSQLite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			db := d.open(t)
			in := d.inbox(t, inbox.SQLConfig{Retention: 48 * time.Hour})
			must(t, in.EnsureSchema(t.Context(), db))
			execSQL(t, db, "CREATE TABLE effects (id varchar(64) NOT NULL)")
			testConsumerOn(t, d, db, in)
		})
	}
}

func testConsumerOn(t *testing.T, d inboxDB, db *sql.DB, in *inbox.SQL) {
	const messages = 60
	srv := natstest.Start(t)
	js, err := jetstream.New(srv.Connect(t))
	must(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}, MaxAge: 24 * time.Hour})
	must(t, err)
	w := &consumerWorld{db: db, nats: srv, js: js}
	claimAndConfirm(t, db, in, []string{"old"})
	execSQL(t, db, "UPDATE inbox SET created_at = "+map[inbox.Dialect]string{
		inbox.PostgreSQL: "now() - interval '50 hours'",
		inbox.SQLite:     "strftime('%Y-%m-%d %H:%M:%f', 'now', '-50 hours')",
	}[d.dialect])
	for i := range 2 * messages {
		w.publish(t, fmt.Sprint(i%messages))
	}
	cfg := consumerConfig()
	cfg.TxInbox, cfg.Concurrency = in, 4
	insert := "INSERT INTO effects (id) VALUES (" + map[inbox.Dialect]string{inbox.PostgreSQL: "$1", inbox.SQLite: "?1"}[d.dialect] + ")"
	h := func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
		if _, err := tx.ExecContext(ctx, insert, m.ID); err != nil {
			return err
		}
		if strings.HasSuffix(m.ID, "7") && m.Attempt == 1 {
			return errors.New("boom")
		}
		return nil
	}
	a, _ := w.run(t, cfg, h)
	b, _ := w.run(t, cfg, h)
	consumerEventually(t, "each is handled once and known once", func() bool {
		x, y := a.Stats(), b.Stats()
		return x.Handled+y.Handled == messages && x.Duplicates+y.Duplicates == messages
	})
	consumerEventually(t, "the old mark is deleted", func() bool {
		return querySQL(t, db, "SELECT COUNT(*) FROM inbox WHERE message_id = 'old'") == "0"
	})
	w.wantEffects(t, messages)
}
