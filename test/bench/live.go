package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/producer"
)

// writing is what a service that inserts events is told.
type writing struct {
	DSN              string
	Rows, Rate, Size int
	File             string // for "event nanoseconds", when its commit had returned
	Watermill        bool   // to its table
}

// wrote is what it found.
type wrote struct{ Took time.Duration }

// runWrite inserts by the producer, each event in a transaction, at a steady rate: a
// transaction that is late does not delay those behind it.
func runWrite(o writing) (any, error) {
	workers := max(2, min(32, o.Rate/150))
	db, err := sql.Open("mysql", o.DSN+"?interpolateParams=true")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxIdleConns(workers)
	add, err := inserter(db, o)
	if err != nil {
		return nil, err
	}
	at := make([]int64, o.Rows)
	failed := make(chan error, workers)
	begun := time.Now().Add(100 * time.Millisecond)
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for n := i; n < o.Rows; n += workers {
				time.Sleep(time.Until(begun.Add(time.Duration(n) * time.Second / time.Duration(o.Rate))))
				if err := add(n); err != nil {
					failed <- err
					return
				}
				at[n] = time.Now().UnixNano()
			}
		})
	}
	all.Wait()
	took := time.Since(begun)
	select {
	case err := <-failed:
		return nil, err
	default:
	}
	return wrote{took}, writeLines(o.File, o.Rows, func(n int) string { return fmt.Sprint(n, at[n]) })
}

// inserter returns what commits the n-th event.
func inserter(db *sql.DB, o writing) (func(n int) error, error) {
	e := newEvents(o.Size, 1)
	if o.Watermill {
		return func(n int) error {
			_, err := db.Exec(string(e.watermillInsert([]byte("INSERT INTO "), n)))
			return err
		}, nil
	}
	out, err := producer.New(producer.Config{})
	return func(n int) error {
		return producer.InTx(context.Background(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
			return out.Insert(ctx, tx, &binjet.Message{ID: eventID(n), Topic: topic, Key: eventKey(n), ContentType: contentType, Payload: e.body(n)})
		})
	}, err
}

func writeLines(file string, n int, line func(n int) string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintln(w, line(i))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

const handlerName = "bench"

// handling is what a process with a handler is told.
type handling struct {
	URL  string
	Rows int
	File string // for "event stored called", in nanoseconds
}

// runHandle ends once it has handled all, or is told to.
func runHandle(o handling) (any, error) {
	nc, err := nats.Connect(o.URL)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	c, err := consumer.New(js, consumer.Config{Name: handlerName, Logger: quiet(), Prefetch: 100})
	if err != nil {
		return nil, err
	}
	type call struct{ n, stored, called int64 }
	var calls []call
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c.Handle(topic, func(_ context.Context, m *consumer.Message) error {
		called := time.Now().UnixNano()
		n, err := eventNumber(m.ID)
		if err != nil {
			return err
		}
		if calls = append(calls, call{int64(n), m.Published.UnixNano(), called}); len(calls) == o.Rows {
			stop()
		}
		return nil
	})
	if err := c.Run(ctx); err != nil {
		return nil, err
	}
	return struct{}{}, writeLines(o.File, len(calls), func(i int) string {
		return fmt.Sprint(calls[i].n, calls[i].stored, calls[i].called)
	})
}
