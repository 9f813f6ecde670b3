package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

const (
	// maxBytes bounds what one part leaves in the stream until it is purged.
	maxBytes = 256 << 20
	// pending is how many asynchronous publishes wait for their answers.
	pending = 4000
)

// room is how many messages a part may publish.
func (b *run) room() int { return max(maxBytes/(b.Size+100), 1) }

// sync publishes one message after the other, each once the one before is acknowledged.
func (b *run) sync(ctx context.Context) error {
	b.Progress("broker: synchronous publishing for %s", b.Duration)
	js, err := jetstream.New(b.Conn)
	if err != nil {
		return err
	}
	var took sample
	begun := time.Now()
	n := 0
	for ; n < b.room() && time.Since(begun) < b.Duration; n++ {
		at := time.Now()
		if _, err := js.Publish(ctx, rawSubject, b.payload); err != nil {
			return fmt.Errorf("publish to %s: %w", rawSubject, err)
		}
		took.add(time.Since(at))
	}
	b.report.Broker.Sync = Sync{PerSecond: perSecond(n, time.Since(begun)), RoundTrip: took.latency()}
	return nil
}

// async publishes as fast as the client can with many in flight, and counts what is acknowledged.
func (b *run) async(ctx context.Context) error {
	b.Progress("broker: asynchronous publishing for %s", b.Duration)
	js, err := jetstream.New(b.Conn, jetstream.WithPublishAsyncMaxPending(2*pending))
	if err != nil {
		return err
	}
	flying := make(chan jetstream.PubAckFuture, pending)
	begun := time.Now()
	n := 0
	for n < b.room() && time.Since(begun) < b.Duration {
		if len(flying) == pending {
			if err := landed(ctx, <-flying); err != nil {
				return err
			}
		}
		f, err := js.PublishMsgAsync(&nats.Msg{Subject: rawSubject, Data: b.payload})
		if err != nil {
			return fmt.Errorf("publish to %s: %w", rawSubject, err)
		}
		flying <- f
		n++
	}
	for len(flying) > 0 {
		if err := landed(ctx, <-flying); err != nil {
			return err
		}
	}
	b.report.Broker.AsyncPerSecond = perSecond(n, time.Since(begun))
	return nil
}

func landed(ctx context.Context, f jetstream.PubAckFuture) error {
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return fmt.Errorf("publish to %s: %w", rawSubject, err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// engine is the relay as it is, behind a source without a database.
func (b *run) engine(ctx context.Context) error {
	b.Progress("broker: binjet's own atomic batches, without a database, for %s", b.Duration)
	var first, last time.Time
	n, before := 0, 0
	enough := make(chan struct{})
	limit := b.room()
	r, err := b.start(ctx, Engine, &generator{run: b, limit: limit}, func(events int) {
		if last = time.Now(); first.IsZero() {
			first, before = last, events
		}
		if n += events; last.Sub(first) >= b.Duration || n >= limit {
			closeOnce(enough)
		}
	})
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.wait(ctx, enough); err != nil {
		return err
	}
	r.stop() // behind it nothing is counted
	b.report.Broker.BatchesPerSecond = perSecond(n-before, last.Sub(first))
	return nil
}

// closeOnce is for one goroutine.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// generator is a source that yields single events as fast as they are taken.
type generator struct {
	*run
	limit int
}

func (g *generator) Begin(context.Context) (checkpoint.Position, error) {
	return checkpoint.Position{Flavor: checkpoint.MariaDB}, nil
}

func (g *generator) Verify(context.Context, checkpoint.Position) error { return nil }

func (g *generator) Stream(ctx context.Context, p checkpoint.Position, yield func(*checkpoint.Transaction) error) error {
	at, _ := p.Resume.Domain(0)
	for n := at.N + 1; n <= uint64(g.limit); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := yield(&checkpoint.Transaction{
			GTID: checkpoint.GTID{Flavor: checkpoint.MariaDB, Server: 1, N: n}, Committed: time.Now(),
			Messages: []binjet.Message{{ID: strconv.FormatUint(n, 10), Topic: topic, Payload: g.payload}},
		})
		if err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}
