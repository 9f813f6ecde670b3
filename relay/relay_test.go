package relay

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

func published(r *running, n int) func() bool {
	return func() bool { return r.Status().Checkpoint.Count >= uint64(n) }
}

func TestPublishesInOrderWithTheCheckpoint(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	r := start(t, Config{Source: src, Conn: nc})
	for i := range 200 {
		src.commit(i%4, []byte("payload"))
	}
	want := src.ids()
	eventually(t, "all events", published(r, len(want)))
	if got := streamed(t, nc); !slices.Equal(got, want) {
		t.Fatalf("stream holds %d events, want %d in commit order", len(got), len(want))
	}
	eventually(t, "the idle position", func() bool {
		return r.Status().Checkpoint.Resume.String() == "01020300-0000-0000-0000-000000000000:1-200"
	})
	r.halt(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	held, err := r.store.Load(context.Background())
	if err != nil || !held.Released || held.Count != uint64(len(want)) {
		t.Fatalf("after a clean stop the stream holds %+v, %v", held, err)
	}
}

func TestWireContract(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	tx := src.commit(2, []byte("{}"))
	tx.Messages[0].ContentType = "application/json"
	tx.Messages[0].Headers = binjet.Headers{"traceparent": {"00-x"}, "X-Two": {"a", "b"}, binjet.HeaderTTL: {"3600"}}
	tx.Messages[0].CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	r := start(t, Config{Source: src, Conn: nc, Partitions: 8})
	eventually(t, "both events", published(r, 2))
	js, _ := jetstream.New(nc)
	s, err := js.Stream(t.Context(), "OUTBOX")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetLastMsgForSubject(t.Context(), binjet.Subject("outbox", "orders.created", "k", 8))
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.GetMsg(t.Context(), msg.Sequence-1)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		binjet.HeaderID: "1.1", binjet.HeaderTopic: "orders.created", binjet.HeaderKey: "k", binjet.HeaderSource: "shop",
		binjet.HeaderTx: tx.GTID.String(), binjet.HeaderTxIndex: "1/2", binjet.HeaderCreatedAt: "2026-01-02T03:04:05.000006Z",
		binjet.HeaderContentType: "application/json", "traceparent": "00-x", "X-Two": "a", binjet.HeaderTTL: "3600",
	} {
		if got := first.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := first.Header["X-Two"]; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("X-Two: %v", got)
	}
	if info, err := s.Info(t.Context()); err != nil || info.Config.Metadata[binjet.MetadataPartitions] != "8" {
		t.Errorf("metadata %v, %v", info.Config.Metadata, err)
	}
}

func TestLargeTransactionGoesInParts(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	src.commit(5000, []byte("p"))
	src.commit(7, bytes.Repeat([]byte("x"), 900_000)) // more than a batch's bytes
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: nc})
	want := src.ids()
	eventually(t, "all events", published(r, len(want)))
	if got := streamed(t, nc); !slices.Equal(got, want) {
		t.Fatalf("stream holds %d events, want %d", len(got), len(want))
	}
}

func TestTwoRelaysOneLeads(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	a := start(t, Config{Source: src, Conn: srv.Connect(t), Instance: "a"})
	eventually(t, "a leads", func() bool { return a.Status().Role == Leader })
	b := start(t, Config{Source: src, Conn: srv.Connect(t), Instance: "b"})
	for range 50 {
		src.commit(1, []byte("p"))
	}
	eventually(t, "a's events", published(a, 50))
	if role := b.Status().Role; role != Standby {
		t.Fatalf("b is %s while a leads", role)
	}
	a.halt(t)
	eventually(t, "b leads after a's clean stop", func() bool { return b.Status().Role == Leader })
	for range 50 {
		src.commit(2, []byte("p"))
	}
	want := src.ids()
	eventually(t, "b's events", published(b, len(want)))
	if got := streamed(t, srv.Connect(t)); !slices.Equal(got, want) {
		t.Fatalf("stream holds %d events, want %d", len(got), len(want))
	}
}

// TestForcedDoubleLeaders makes every relay believe that the others are silent,
// so that they depose each other again and again.
func TestForcedDoubleLeaders(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	var relays []*running
	for _, name := range []string{"a", "b", "c"} {
		r := start(t, Config{Source: src, Conn: srv.Connect(t), Instance: name})
		relays = append(relays, r)
	}
	for i := range 300 {
		src.commit(i%3+1, []byte("p"))
		if i%20 == 0 {
			usurp(t, relays[i/20%3], "")
		}
	}
	want := src.ids()
	nc := srv.Connect(t)
	eventually(t, "all events", func() bool { return len(streamed(t, nc)) >= len(want) })
	if got := streamed(t, nc); !slices.Equal(got, want) {
		t.Fatalf("stream holds %d events, want %d, or not in order", len(got), len(want))
	}
}

// usurp is a compare-and-set by hand, as a take-over would write it: by r itself,
// or by another instance.
func usurp(t *testing.T, r *running, instance string) {
	t.Helper()
	held, err := r.store.Load(t.Context())
	if err != nil {
		return
	}
	pub, err := newPublisher(r.cfg.Conn, r.store.Subject(), time.Second)
	must(t, err)
	defer pub.close()
	w, err := r.prepareTakeOver(held, held.Epoch+1)
	must(t, err)
	if instance != "" {
		w.checkpoint.Instance = instance
		w.record, err = w.checkpoint.Encode()
		must(t, err)
	}
	_, _ = pub.commitAndWait(t.Context(), w)
}

func TestBrokerRestarts(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	r := start(t, Config{Source: src, Conn: srv.Connect(t, nats.ReconnectBufSize(-1))})
	for round := range 3 {
		for range 100 {
			src.commit(1, []byte("p"))
		}
		eventually(t, "some events", published(r, round*150+20))
		srv.Stop()
		for range 50 {
			src.commit(1, []byte("p"))
		}
		srv.Start()
	}
	want := src.ids()
	eventually(t, "all events", published(r, len(want)))
	if got := streamed(t, srv.Connect(t)); !slices.Equal(got, want) {
		t.Fatalf("stream holds %d events, want %d", len(got), len(want))
	}
}

func TestStreamLosesItsTail(t *testing.T) {
	for _, running := range []bool{true, false} {
		name := map[bool]string{true: "while the relay runs", false: "while it is down"}[running]
		t.Run(name, func(t *testing.T) {
			srv := natstest.Start(t)
			nc := srv.Connect(t, nats.ReconnectBufSize(-1))
			src := newFakeSource()
			r := start(t, Config{Source: src, Conn: nc})
			for range 100 {
				src.commit(2, []byte("p"))
			}
			eventually(t, "the first events", published(r, 200))
			srv.Stop()
			old := filepath.Join(t.TempDir(), "old")
			if err := os.CopyFS(old, os.DirFS(srv.StoreDir())); err != nil {
				t.Fatal(err)
			}
			srv.Start()
			for range 100 {
				src.commit(1, []byte("p"))
			}
			eventually(t, "more events", published(r, 300))
			if !running {
				r.halt(t)
			}
			srv.Stop()
			srv.PutBack(old)
			srv.Start()
			if !running {
				start(t, Config{Source: src, Conn: srv.Connect(t)})
			}
			src.commit(1, []byte("p"))
			want := src.ids()
			reader := srv.Connect(t)
			eventually(t, "all events again", func() bool { return len(streamed(t, reader)) >= len(want) })
			if got := streamed(t, reader); !slices.Equal(got, want) {
				t.Fatalf("stream holds %d events, want %d, or not in order", len(got), len(want))
			}
		})
	}
}

// TestEventsBehindTheCheckpointAreNotRepeated: the broker kept events of a batch
// and lost the checkpoint behind them.
func TestEventsBehindTheCheckpointAreNotRepeated(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	for range 10 {
		src.commit(3, []byte("p"))
	}
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the first events", published(r, 30))
	r.halt(t)
	tx := src.commit(3, []byte("p"))
	src.commit(2, []byte("p"))
	enc := r.encoder()
	for i := range 2 { // two of the five are there, without a checkpoint
		msg, _, err := enc.encode(tx, i, 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.RequestMsg(msg, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	r = start(t, Config{Source: src, Conn: nc})
	want := src.ids()
	eventually(t, "the rest", published(r, len(want)))
	if got := streamed(t, nc); !slices.Equal(got, want) {
		t.Fatalf("stream holds %v, want %v", got, want)
	}
}

func TestForeignEventBehindTheCheckpointHalts(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the first event", published(r, 1))
	r.halt(t)
	msg := nats.NewMsg("outbox.orders.created")
	msg.Header.Set(binjet.HeaderID, "unheard-of")
	msg.Header.Set(binjet.HeaderSource, "shop")
	if _, err := nc.RequestMsg(msg, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	src.commit(1, []byte("p"))
	r = start(t, Config{Source: src, Conn: nc})
	<-r.done
	var halt *checkpoint.HaltError
	if !errors.As(r.err, &halt) || !strings.Contains(halt.Problem, "unheard-of") {
		t.Fatalf("err = %v, want a halt that names the event", r.err)
	}
}

func TestCheckpointLost(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	for range 10 {
		src.commit(1, []byte("p"))
	}
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the first events", published(r, 10))
	r.halt(t)
	js, _ := jetstream.New(nc)
	s, err := js.Stream(t.Context(), "OUTBOX")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSubject(r.store.Subject())); err != nil {
		t.Fatal(err)
	}
	src.commit(1, []byte("p"))
	again := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the new event", published(again, 11))
	if got, want := streamed(t, nc), src.ids(); !slices.Equal(got, want) {
		t.Fatalf("stream holds %v, want %v", got, want)
	}
}

func TestSourceHalts(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	src.commit(2, []byte("p"))
	src.fail = &checkpoint.HaltError{Problem: "the log is broken"}
	r := start(t, Config{Source: src, Conn: srv.Connect(t)})
	<-r.done
	var halt *checkpoint.HaltError
	if !errors.As(r.err, &halt) {
		t.Fatalf("err = %v, want the halt", r.err)
	}
	held, err := r.store.Load(t.Context())
	if err != nil || held.Count != 2 || !held.Released {
		t.Fatalf("what came before is not published and released: %+v, %v", held, err)
	}
}

func TestTooLargeEventHalts(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	src.commit(1, bytes.Repeat([]byte("x"), 2<<20))
	r := start(t, Config{Source: src, Conn: srv.Connect(t), OnInvalid: Halt})
	<-r.done
	var halt *checkpoint.HaltError
	if !errors.As(r.err, &halt) || !strings.Contains(halt.Problem, "max_payload") {
		t.Fatalf("err = %v, want a halt that names max_payload", r.err)
	}
}

func TestServerVersion(t *testing.T) {
	for version, want := range map[string]bool{"2.12.2": true, "2.12.1": false, "2.11.9": false, "2.15.2": true, "3.0.0": true, "2.12.2-RC.1": true, "": false} {
		if got := atLeast(version, MinServer); got != want {
			t.Errorf("%q at least %s: %v", version, MinServer, got)
		}
	}
}
