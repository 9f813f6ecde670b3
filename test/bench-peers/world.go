package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	_ "github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
)

const (
	stream  = "OUTBOX"
	subject = "outbox.orders.created"
	topic   = "orders.created"
	durable = "bench"
)

// world is a broker in this process, a database server beside it, and the stream
// that every peer consumes from its start.
type world struct {
	opts   options
	broker *server.Server
	store  string
	nc     *nats.Conn
	js     jetstream.JetStream
	mysql  *dbserver.Server
	db     *sql.DB
	inbox  *inbox.SQL
	took   map[string][]time.Duration
}

func newWorld(ctx context.Context, o options) (w *world, err error) {
	w = &world{opts: o}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.store, err = os.MkdirTemp("", "binjet-bench-"); err != nil {
		return w, err
	}
	w.broker, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: w.store, NoLog: true, NoSigs: true})
	if err != nil {
		return w, err
	}
	w.broker.Start()
	if !w.broker.ReadyForConnections(30 * time.Second) {
		return w, errors.New("the broker does not start")
	}
	if w.nc, err = nats.Connect(w.broker.ClientURL()); err != nil {
		return w, err
	}
	if w.js, err = jetstream.New(w.nc); err != nil {
		return w, err
	}
	if w.mysql, err = dbserver.Start(ctx, dbserver.Options{Durable: o.durable, Progress: func(s string) { fmt.Fprintln(os.Stderr, s) }}); err != nil {
		return w, err
	}
	return w, w.schema(ctx)
}

func (w *world) schema(ctx context.Context) (err error) {
	root, err := sql.Open("mysql", w.mysql.DSN(""))
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.ExecContext(ctx, "CREATE DATABASE bench"); err != nil {
		return err
	}
	if w.db, err = sql.Open("mysql", w.mysql.DSN("bench")); err != nil {
		return err
	}
	w.db.SetMaxIdleConns(w.opts.workers + 2)
	if w.inbox, err = inbox.NewSQL(inbox.SQLConfig{}); err != nil {
		return err
	}
	if err := w.inbox.EnsureSchema(ctx, w.db); err != nil {
		return err
	}
	_, err = w.db.ExecContext(ctx, "CREATE TABLE effects (id BIGINT AUTO_INCREMENT PRIMARY KEY, message VARCHAR(64) NOT NULL, payload VARBINARY(8192)) ENGINE=InnoDB")
	return err
}

// fill makes a stream of n messages with the headers that the relay gives them.
func (w *world) fill(ctx context.Context, n int) error {
	_ = w.js.DeleteStream(ctx, stream)
	if _, err := w.js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"outbox.>"}}); err != nil {
		return err
	}
	payload := make([]byte, w.opts.size)
	for i := range n {
		_, _ = rand.Read(payload)
		m := nats.NewMsg(subject)
		m.Data = append([]byte(nil), payload...)
		set := func(name, value string) { m.Header.Set(name, value) }
		set(binjet.HeaderID, fmt.Sprintf("0195f0c2-1111-7000-8000-%012d", i))
		set(binjet.HeaderTopic, topic)
		set(binjet.HeaderKey, fmt.Sprint("order-", i%1000))
		set(binjet.HeaderSource, "bench")
		set(binjet.HeaderTx, fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:%d", i+1))
		set(binjet.HeaderTxIndex, "1/1")
		set(binjet.HeaderCreatedAt, time.Now().UTC().Format(binjet.CreatedAtLayout))
		set(binjet.HeaderContentType, "application/octet-stream")
		if _, err := w.js.PublishMsgAsync(m); err != nil {
			return err
		}
	}
	select {
	case <-w.js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reset forgets what the peer before has done.
func (w *world) reset(ctx context.Context) error {
	s, err := w.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	if err := s.DeleteConsumer(ctx, durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	for _, q := range []string{"TRUNCATE inbox", "TRUNCATE effects"} {
		if _, err := w.db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) close() {
	if w.db != nil {
		_ = w.db.Close()
	}
	if w.mysql != nil {
		_ = w.mysql.Close()
	}
	if w.nc != nil {
		w.nc.Close()
	}
	if w.broker != nil {
		w.broker.Shutdown()
		w.broker.WaitForShutdown()
	}
	_ = os.RemoveAll(w.store)
}
