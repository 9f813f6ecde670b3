package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/internal/natstest"
)

// The largest message that a relay lets through fits as a dead letter, with as much
// of the reason and the stack as there is room for, and as a replay.
func TestLargestMessageFitsAsDeadLetterAndReplay(t *testing.T) {
	const maxPayload = 32 << 10
	srv := natstest.Start(t, func(o *server.Options) { o.MaxPayload = maxPayload })
	w := worldOn(t, srv, nil)
	cfg := w.config()
	cfg.MaxDeliver = 1
	c := w.consumer(cfg)
	well := make(chan bool, 2)
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		if m.Replayed == 0 {
			panic(strings.Repeat("why ", 1000))
		}
		well <- len(m.Payload) > 30_000
		return nil
	})
	w.run(c)
	topic := strings.Repeat("t", 200)
	m := nats.NewMsg("outbox." + topic)
	m.Header.Set(binjet.HeaderID, strings.Repeat("i", 64))
	m.Header.Set(binjet.HeaderTopic, topic)
	m.Data = bytes.Repeat([]byte("x"), maxPayload-deadletter.Room-m.Size())
	if _, err := w.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is dead", func() bool { return c.Stats().DeadLettered == 1 })
	w.readsReplays()
	dead, err := consumer.OpenDeadLetters(t.Context(), w.js, "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := dead.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(l.Reason, "handler panicked: why why") || !strings.HasSuffix(l.Reason, "…") || len(l.Message.Payload) != len(m.Data) {
		t.Errorf("%d bytes of payload, reason %q", len(l.Message.Payload), l.Reason)
	}
	if n, err := dead.Replay(t.Context(), 1); n != 1 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	if !<-well {
		t.Error("the replay is not whole")
	}
}

// The process dies when its dead letter is stored and before the broker is told. The
// next one stores it again, which is no second dead letter.
func TestDeadLetterOfAKilledProcessIsWrittenOnce(t *testing.T) {
	w := newWorld(t)
	conn := w.srv.Connect(t)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.Hooks.BeforeSettle = func(_ *consumer.Message, out consumer.Outcome) {
		if out.Kind == consumer.DeadLettered {
			conn.Close()
		}
	}
	dies, err := consumer.New(js, cfg)
	if err != nil {
		t.Fatal(err)
	}
	discard := func(context.Context, *consumer.Message) error { return consumer.Discard(errors.New("no use")) }
	dies.Handle(">", discard)
	w.publish("a", "1")
	if err := dies.Run(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Fatalf("it ended with %v", err)
	}
	next := w.consumer(w.config())
	next.Handle(">", discard)
	w.run(next)
	eventually(t, "the next process gives it up", func() bool { return next.Stats().DeadLettered == 1 })
	w.settled()
	if dead := w.deadLetters(); len(dead) != 1 {
		t.Fatalf("%d dead letters", len(dead))
	}
	dlq, err := w.js.Stream(t.Context(), "OUTBOX_DLQ")
	if err != nil {
		t.Fatal(err)
	}
	if got := dlq.CachedInfo().Config.Duplicates; got != 24*time.Hour {
		t.Fatalf("the broker knows a dead letter for %s", got)
	}
}

// A server that allows no such long window gets the stream all the same.
func TestDeadLetterStreamOnAServerWithAShortWindow(t *testing.T) {
	srv := natstest.Start(t, func(o *server.Options) { o.JetStreamLimits.Duplicates = time.Minute })
	w := worldOn(t, srv, nil)
	s := w.sick()
	w.publish("a", "1")
	s.dies(w, 1)
}
