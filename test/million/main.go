// Command million reads one transaction of a million rows, from the binlog or
// from the stream, and checks each of them. TestMillionRows runs it: a program of
// its own has no race detector, which would take most of the time and memory.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
)

const million = 1_000_000

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "binlog":
		err = readBinlog(args[1], args[2])
	case len(args) == 2 && args[0] == "stream":
		err = readStream(args[1])
	default:
		err = errors.New("usage: million binlog ADDR GTID_SET | million stream URL")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// inOrder checks that the next message is the n-th row.
func inOrder(n int, id string) error {
	if want := fmt.Sprintf("m%06d", n); id != want {
		return fmt.Errorf("row %d is %q", n, id)
	}
	return nil
}

var errDone = errors.New("all rows are read")

// readBinlog reads with the reader's defaults and prints by how many bytes the
// live heap grew at most.
func readBinlog(addr, from string) error {
	heap := newHighWater()
	r, err := binlog.New(binlog.Config{Addr: addr, User: "root", Tables: []string{"shop.outbox"}, Start: from,
		Hooks: binlog.Hooks{Received: func(int) { heap.look() }}})
	if err != nil {
		return err
	}
	pos, err := r.Begin(context.Background())
	if err != nil {
		return err
	}
	next := 0
	err = r.Stream(context.Background(), pos, func(tx *checkpoint.Transaction) error {
		heap.look()
		for i := range tx.Messages {
			if err := check(next, &tx.Messages[i]); err != nil {
				return err
			}
			next++
		}
		if next == million && !tx.More {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		return fmt.Errorf("after %d rows: %w", next, err)
	}
	fmt.Println(heap.most - heap.first)
	return nil
}

func check(n int, m *binjet.Message) error {
	if err := inOrder(n, m.ID); err != nil {
		return err
	}
	if string(m.Payload) != strings.Repeat(m.ID[1:], 8) {
		return fmt.Errorf("the payload of %s is %.100q", m.ID, m.Payload)
	}
	return nil
}

// highWater is the most that lived on the heap at the end of a collection.
type highWater struct {
	sample      []metrics.Sample
	first, most uint64
}

func newHighWater() *highWater {
	h := &highWater{sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	h.look()
	h.first = h.most
	return h
}

func (h *highWater) look() {
	metrics.Read(h.sample)
	h.most = max(h.most, h.sample[0].Value.Uint64())
}

// readStream reads the events by plain nats.go.
func readStream(url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	sub, err := js.SubscribeSync("outbox.>", nats.OrderedConsumer(), nats.HeadersOnly())
	if err != nil {
		return err
	}
	for n := range million {
		msg, err := sub.NextMsg(time.Minute)
		if err != nil {
			return fmt.Errorf("after %d events: %w", n, err)
		}
		if err := inOrder(n, msg.Header.Get(binjet.HeaderID)); err != nil {
			return err
		}
	}
	if msg, err := sub.NextMsg(100 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		return fmt.Errorf("behind the last event: %v, %w", msg, err)
	}
	return nil
}
