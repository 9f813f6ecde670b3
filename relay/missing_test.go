package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

// TestSomethingIsMissing: what a relay does when it comes back to a broker on
// which something of its state was deleted, purged or made anew.
func TestSomethingIsMissing(t *testing.T) {
	type broker struct {
		js     jetstream.JetStream
		stream jetstream.Stream
		relay  *running
	}
	purgeCheckpoint := func(t *testing.T, b broker) {
		must(t, b.stream.Purge(t.Context(), jetstream.WithPurgeSubject(b.relay.store.Subject())))
	}
	deleteCopies := func(t *testing.T, b broker) { must(t, b.js.DeleteKeyValue(t.Context(), binjet.CheckpointBucket)) }
	tests := []struct {
		name   string
		damage func(t *testing.T, b broker)
		halt   string // words of the halt; "" when it goes on
	}{
		{"nothing", func(*testing.T, broker) {}, ""},
		{"the checkpoint", purgeCheckpoint, ""},
		{"the copies", deleteCopies, ""},
		{"the copies' key", func(t *testing.T, b broker) {
			kv, err := b.js.KeyValue(t.Context(), binjet.CheckpointBucket)
			must(t, err)
			must(t, kv.Purge(t.Context(), "shop"))
		}, ""},
		{"checkpoint and copies", func(t *testing.T, b broker) { purgeCheckpoint(t, b); deleteCopies(t, b) }, "neither its checkpoint nor a copy"},
		{"events, by a purge of their subjects", func(t *testing.T, b broker) {
			must(t, b.stream.Purge(t.Context(), jetstream.WithPurgeSubject("outbox.>")))
		}, ""},
		{"everything in the stream", func(t *testing.T, b broker) { must(t, b.stream.Purge(t.Context())) }, ""},
		{"everything, and more came behind the newest copy", func(t *testing.T, b broker) {
			ack, err := b.js.Publish(t.Context(), "outbox.other", []byte("x"))
			must(t, err)
			must(t, b.stream.Purge(t.Context(), jetstream.WithPurgeSequence(ack.Sequence+1)))
		}, "was purged up to"},
		{"the stream", func(t *testing.T, b broker) { must(t, b.js.DeleteStream(t.Context(), "OUTBOX")) }, "deleted and made anew"},
		{"a checkpoint of this version", func(t *testing.T, b broker) {
			_, err := b.js.Publish(t.Context(), b.relay.store.Subject(), []byte(`{"v":99,"source":"shop"}`))
			must(t, err)
		}, "newer version"},
		{"a checkpoint at all", func(t *testing.T, b broker) {
			_, err := b.js.Publish(t.Context(), b.relay.store.Subject(), []byte("hello"))
			must(t, err)
		}, "can't be used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := natstest.Start(t)
			nc := srv.Connect(t)
			src := newFakeSource()
			for range 10 {
				src.commit(1, []byte("p"))
			}
			r := start(t, Config{Source: src, Conn: nc})
			eventually(t, "the first events", published(r, 10))
			r.halt(t)
			js, err := jetstream.New(nc)
			must(t, err)
			stream, err := js.Stream(t.Context(), "OUTBOX")
			must(t, err)
			before := streamed(t, nc)
			tt.damage(t, broker{js, stream, r})
			src.commit(1, []byte("p"))
			again := start(t, Config{Source: src, Conn: nc})
			if tt.halt != "" {
				<-again.done
				var halt *checkpoint.HaltError
				if !errors.As(again.err, &halt) || !strings.Contains(halt.Error(), tt.halt) || halt.Hint == "" {
					t.Fatalf("err = %v, want a halt that says %q", again.err, tt.halt)
				}
				if last := held(t, again); last != "" {
					t.Fatalf("a relay that halted wrote a checkpoint: %s", last)
				}
				return
			}
			eventually(t, "the new event", published(again, 11))
			got := streamed(t, nc)
			if !slices.Contains([]string{fmt.Sprint(append(before, "11.1")), "[11.1]"}, fmt.Sprint(got)) {
				t.Fatalf("stream holds %v", got)
			}
		})
	}
}

// held is what a relay of this instance left in the stream, "" when nothing.
func held(t *testing.T, r *running) string {
	t.Helper()
	h, err := r.store.Load(context.Background())
	if err != nil || h.Instance != r.cfg.Instance {
		return ""
	}
	return fmt.Sprintf("%+v", h)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestUsedStreamOfSeveralSources: this source's events are not the last ones.
func TestUsedStreamOfSeveralSources(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	shop, bank := newFakeSource(), newFakeSource()
	shop.commit(1, []byte("p"))
	bank.commit(1, []byte("p"))
	r := start(t, Config{Source: shop, Conn: nc})
	eventually(t, "the event of shop", published(r, 1))
	r.halt(t)
	other := start(t, Config{Source: bank, Conn: nc, Name: "bank"})
	eventually(t, "the event of bank", published(other, 1))
	js, err := jetstream.New(nc)
	must(t, err)
	must(t, js.DeleteKeyValue(t.Context(), binjet.CheckpointBucket))
	stream, err := js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	must(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject(r.store.Subject())))
	again := start(t, Config{Source: shop, Conn: nc})
	<-again.done
	var halt *checkpoint.HaltError
	if !errors.As(again.err, &halt) || !strings.Contains(halt.Problem, "of source shop at sequence") {
		t.Fatalf("err = %v", again.err)
	}
	third := start(t, Config{Source: newFakeSource(), Conn: nc, Name: "new"})
	eventually(t, "a source that is new to the stream", func() bool { return third.Status().Role == Leader })
}
