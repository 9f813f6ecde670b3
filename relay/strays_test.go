package relay

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/natstest"
)

// TestBatchStoredInPart: a single server without room left stores the first
// events of a batch and not the rest, and says nothing.
func TestBatchStoredInPart(t *testing.T) {
	srv := natstest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = 2 << 20 })
	nc := srv.Connect(t)
	js, _ := jetstream.New(nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FILLER", Subjects: []string{"filler"}}); err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("x"), 20_000)
	for range 75 {
		if _, err := js.Publish(t.Context(), "filler", payload); err != nil {
			t.Fatal(err)
		}
	}
	src := newFakeSource()
	r := start(t, Config{Source: src, Conn: nc})
	src.commit(1, nil)
	eventually(t, "the first event", published(r, 1))
	src.commit(40, payload)
	eventually(t, "a part of a batch", func() bool { return len(streamed(t, nc)) > 1 })
	if err := js.DeleteStream(t.Context(), "FILLER"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rest", published(r, 41))
	if got, want := streamed(t, nc), src.ids(); !slices.Equal(got, want) {
		t.Fatalf("stream holds %d events, %v, want %d", len(got), got, len(want))
	}
}

// TestStraySearchSurvivesALostAnswer: nobody answers the first request.
func TestStraySearchSurvivesALostAnswer(t *testing.T) {
	srv := natstest.Start(t, func(o *server.Options) { o.JetStream = false })
	nc := srv.Connect(t)
	asked := 0
	if _, err := nc.Subscribe("$JS.API.STREAM.MSG.GET.OUTBOX", func(m *nats.Msg) {
		if asked++; asked > 1 {
			_ = m.Respond([]byte(`{"message":{"subject":"binjet.checkpoint.shop","seq":20}}`))
		}
	}); err != nil {
		t.Fatal(err)
	}
	s := &strays{store: store.New(nc, "OUTBOX", "shop"), source: "shop", timeout: 200 * time.Millisecond,
		alive: func(context.Context) error { return nil }, until: 20, next: 11}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if more, err := s.advance(ctx); more || err != nil {
		t.Fatalf("more %v, %v", more, err)
	}
}

// TestALongWayBehindTheCheckpoint: other sources wrote so much behind our
// checkpoint that looking through it takes longer than a standby waits.
func TestALongWayBehindTheCheckpoint(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the first event", published(r, 1))
	r.halt(t)
	msg := nats.NewMsg("outbox.orders.created")
	msg.Header.Set(binjet.HeaderSource, "other")
	for i := range 5_000 {
		var err error
		if i%500 == 0 {
			_, err = nc.RequestMsg(msg, 10*time.Second)
		} else {
			err = nc.PublishMsg(msg)
		}
		if err != nil {
			t.Fatal(err)
		}
		msg.Reply = ""
	}
	src.commit(1, []byte("p"))
	beat := 100 * time.Millisecond
	a := start(t, Config{Source: src, Conn: srv.Connect(t), Heartbeat: beat})
	b := start(t, Config{Source: src, Conn: srv.Connect(t), Heartbeat: beat})
	c := start(t, Config{Source: src, Conn: srv.Connect(t), Heartbeat: beat})
	eventually(t, "the second event", func() bool {
		return a.Status().Checkpoint.Count == 2 || b.Status().Checkpoint.Count == 2 || c.Status().Checkpoint.Count == 2
	})
	if got, want := streamed(t, nc), src.ids(); !slices.Equal(got, want) {
		t.Fatalf("stream holds %v, want %v", got, want)
	}
}
