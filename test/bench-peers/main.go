package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds, each of which runs every peer once")
	plain := flag.Int("plain", 20_000, "messages for handlers without effects")
	tx := flag.Int("tx", 4_000, "messages for handlers with effects in a database")
	size := flag.Int("size", 256, "payload in bytes")
	workers := flag.Int("workers", 8, "handlers at a time, where a peer can")
	durable := flag.Bool("durable", false, "every commit reaches the disk")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, options{*rounds, *plain, *tx, *size, *workers, *durable}); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	rounds, plain, tx, size, workers int
	durable                          bool
}

// peer is one way to consume. It returns once it has handled n messages.
type peer struct {
	name string
	run  func(ctx context.Context, w *world, n int) error
}

// group is what is compared with each other; the first peer is what the ratios are of.
type group struct {
	title    string
	messages int
	peers    []peer
}

func run(ctx context.Context, out io.Writer, o options) error {
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	groups := []group{
		{fmt.Sprintf("no effects, one at a time, %d messages of %d bytes", o.plain, o.size), o.plain, []peer{
			{"nats.go Consume, ack", rawPlain}, {"Watermill router, deduplicator, ack async", watermillPlain}, {"binjet Handle", handle(1)}}},
		{fmt.Sprintf("no effects, %d at a time", o.workers), o.plain, []peer{
			{"nats.go Consume, workers, ack", rawWorkers(o.workers)}, {"binjet Handle", handle(o.workers)}}},
		{fmt.Sprintf("inbox and effect in one transaction, one at a time, %d messages", o.tx), o.tx, []peer{
			{"by hand, the same statements", rawTx(1, true)}, {"by hand, a lost transaction goes unnoticed", rawTx(1, false)},
			{"binjet HandleTx", handleTx(1)}, {"binjet HandleBatchTx, 100", handleBatchTx}}},
		{fmt.Sprintf("inbox and effect in one transaction, %d at a time", o.workers), o.tx, []peer{
			{"by hand, the same statements", rawTx(o.workers, true)}, {"by hand, a lost transaction goes unnoticed", rawTx(o.workers, false)},
			{"binjet HandleTx", handleTx(o.workers)}}},
	}
	for _, g := range groups {
		if err := g.measure(ctx, w, o.rounds); err != nil {
			return err
		}
		g.print(out, w)
	}
	return nil
}

// measure runs every peer once a round, each time in another order.
func (g group) measure(ctx context.Context, w *world, rounds int) error {
	if err := w.fill(ctx, g.messages); err != nil {
		return err
	}
	w.took = make(map[string][]time.Duration)
	for round := range rounds {
		for i := range g.peers {
			p := g.peers[(i+round)%len(g.peers)]
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, p.name)
			if err := w.reset(ctx); err != nil {
				return err
			}
			began := time.Now()
			if err := p.run(ctx, w, g.messages); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			w.took[p.name] = append(w.took[p.name], time.Since(began))
		}
	}
	return nil
}

func (g group) print(out io.Writer, w *world) {
	fmt.Fprintf(out, "\n%s\n", g.title)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ratio\tmessages/s\tfrom\tto\t\t")
	base := g.rate(w.took[g.peers[0].name], 2)
	for _, p := range g.peers {
		took := w.took[p.name]
		fmt.Fprintf(t, "%.2f\t%.0f\t%.0f\t%.0f\t  %s\t\n", g.rate(took, 2)/base, g.rate(took, 2), g.rate(took, 0), g.rate(took, 1), p.name)
	}
	_ = t.Flush()
	fmt.Fprintln(out, strings.Repeat("-", 40))
}

// rate is messages a second: the slowest (0), the fastest (1) or the median (2) of the rounds.
func (g group) rate(took []time.Duration, which int) float64 {
	sorted := slices.Sorted(slices.Values(took))
	d := sorted[len(sorted)/2]
	switch which {
	case 0:
		d = sorted[len(sorted)-1]
	case 1:
		d = sorted[0]
	}
	return float64(g.messages) / d.Seconds()
}
