package test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	"github.com/binjet/binjet/test/internal/testdb"
)

// BenchmarkConsumer compares HandleTx with a loop written by hand, and with a batch
// of 100. The loop sends the statements that everybody would (begin, inbox, effect,
// commit), and in another run also the read by which HandleTx notices a lost
// transaction. One worker each, so that it is the cost of a message that is seen
// and not how much fits beside it. An iteration is a round for each, one after the
// other, so that whatever else the machine does hits all; medians are reported.
func BenchmarkConsumer(b *testing.B) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		s := testdb.New(b, dbserver.Options{Flavor: flavor})
		for _, params := range []string{"", "?interpolateParams=true"} {
			b.Run(flavor.String()+params, func(b *testing.B) { benchConsumer(b, s, params) })
		}
	}
}

func benchConsumer(b *testing.B, s *dbserver.Server, params string) {
	w := newBenchWorld(b, s, params)
	ways := map[string]func(*benchWorld, string) time.Duration{
		"hand": byHand, "careful": byCarefulHand, "tx": byHandleTx, "batch": byHandleBatchTx}
	took := map[string][]float64{}
	for range b.N {
		for name, way := range ways {
			subject := w.publish()
			took[name] = append(took[name], float64(way(w, subject).Microseconds())/roundSize)
		}
	}
	w.wantRows("effects")
	w.wantRows("inbox")
	median := map[string]float64{}
	for name, all := range took {
		slices.Sort(all)
		median[name] = all[len(all)/2]
		b.ReportMetric(median[name], name+"-µs/msg")
	}
	b.ReportMetric(median["tx"]/median["hand"], "tx/hand")
	b.ReportMetric(median["tx"]/median["careful"], "tx/careful")
	b.ReportMetric(median["tx"]/median["batch"], "tx/batch")
	b.ReportMetric(0, "ns/op")
}

const roundSize = 500

// benchWorld is a stream, a database, and how many messages were published.
type benchWorld struct {
	*testing.B
	js        jetstream.JetStream
	db        *sql.DB
	published int
}

func newBenchWorld(b *testing.B, s *dbserver.Server, params string) *benchWorld {
	w := &benchWorld{B: b}
	admin := w.open(s.DSN(""))
	for _, q := range []string{"DROP DATABASE IF EXISTS bench", "CREATE DATABASE bench",
		"CREATE TABLE bench.effects (id VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY, total INT NOT NULL) ENGINE=InnoDB"} {
		if _, err := admin.ExecContext(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
	w.db = w.open(s.DSN("bench") + params)
	in, err := inbox.NewSQL(inbox.SQLConfig{})
	if err == nil {
		err = in.EnsureSchema(b.Context(), w.db)
	}
	if err == nil {
		w.js, err = jetstream.New(natstest.Start(b).Connect(b))
	}
	if err == nil {
		_, err = w.js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}})
	}
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// publish stores a round's messages on a topic of their own.
func (w *benchWorld) publish() (topic string) {
	topic = fmt.Sprint("round", w.published)
	for range roundSize {
		m := nats.NewMsg("outbox." + topic)
		m.Header.Set(binjet.HeaderID, fmt.Sprintf("0198c5a0-0000-7000-8000-%012d", w.published))
		m.Header.Set(binjet.HeaderTopic, topic)
		m.Data = make([]byte, 256)
		if _, err := w.js.PublishMsgAsync(m); err != nil {
			w.Fatal(err)
		}
		w.published++
	}
	<-w.js.PublishAsyncComplete()
	return topic
}

func (w *benchWorld) open(dsn string) *sql.DB {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *benchWorld) wantRows(table string) {
	n := 0
	if err := w.db.QueryRowContext(w.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil || n != w.published {
		w.Fatalf("%d rows in %s, want %d: %v", n, table, w.published, err)
	}
}

const insertEffect = "INSERT INTO effects (id, total) VALUES (?, ?)"

// byHand is what somebody writes who knows all that HandleTx knows but that a
// transaction can be lost: begin, inbox, effect, commit, acknowledge.
func byHand(w *benchWorld, topic string) time.Duration { return w.loop(topic, false) }

// byCarefulHand makes sure before it commits.
func byCarefulHand(w *benchWorld, topic string) time.Duration { return w.loop(topic, true) }

func (w *benchWorld) loop(topic string, careful bool) time.Duration {
	cons, err := w.js.CreateConsumer(w.Context(), "OUTBOX", jetstream.ConsumerConfig{
		Durable: topic, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "outbox." + topic})
	if err != nil {
		w.Fatal(err)
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		w.Fatal(err)
	}
	defer it.Stop()
	var start time.Time
	for i := range roundSize {
		m, err := it.Next()
		if i == 0 {
			start = time.Now()
		}
		if err == nil {
			err = handleByHand(w.Context(), w.db, m.Headers().Get(binjet.HeaderID), len(m.Data()), careful)
		}
		if err == nil {
			err = m.Ack()
		}
		if err != nil {
			w.Fatal(err)
		}
	}
	return time.Since(start)
}

func handleByHand(ctx context.Context, db *sql.DB, id string, total int, careful bool) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO inbox (consumer, message_id) VALUES (?, ?)", "c", id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, insertEffect, id, total); err != nil {
		return err
	}
	if careful {
		var one int
		err := tx.QueryRowContext(ctx, "SELECT 1 FROM inbox WHERE consumer = ? AND message_id = ? LOCK IN SHARE MODE", "c", id).Scan(&one)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func byHandleTx(w *benchWorld, topic string) time.Duration {
	return w.consume(topic, func(c *consumer.Consumer) {
		c.HandleTx(topic, w.db, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
			_, err := tx.ExecContext(ctx, insertEffect, m.ID, len(m.Payload))
			return err
		})
	})
}

func byHandleBatchTx(w *benchWorld, topic string) time.Duration {
	return w.consume(topic, func(c *consumer.Consumer) {
		c.HandleBatchTx(topic, w.db, consumer.BatchOptions{MaxMessages: 100}, func(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
			args := make([]any, 0, 2*len(msgs))
			for _, m := range msgs {
				args = append(args, m.ID, len(m.Payload))
			}
			_, err := tx.ExecContext(ctx, insertEffect+strings.Repeat(", (?, ?)", len(msgs)-1), args...)
			return err
		})
	})
}

// consume measures from the first message that is given to its handler to the
// last that is acknowledged.
func (w *benchWorld) consume(name string, add func(*consumer.Consumer)) time.Duration {
	var first sync.Once
	var start time.Time
	left := make(chan struct{}, roundSize)
	cfg := consumer.Config{Name: name, Prefetch: 63, Logger: slog.New(slog.DiscardHandler)}
	cfg.Hooks.Start = func(*consumer.Message) { first.Do(func() { start = time.Now() }) }
	cfg.Hooks.AfterSettle = func(*consumer.Message, consumer.Outcome) { left <- struct{}{} }
	c, err := consumer.New(w.js, cfg)
	if err != nil {
		w.Fatal(err)
	}
	add(c)
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for range roundSize {
		<-left
	}
	took := time.Since(start)
	cancel()
	if err := <-done; err != nil {
		w.Fatal(err)
	}
	return took
}
