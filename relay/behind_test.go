package relay

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

// TestKilledBehindTheCheckpoint: a relay dies before its checkpoint has followed. What
// it published is not published again, and what it still has under way is refused.
func TestKilledBehindTheCheckpoint(t *testing.T) {
	srv, src := natstest.Start(t), newFakeSource()
	a := deaf(t, srv, src)
	for range 5 {
		a.goAlone(t, src)
		must(t, a.land(t))
	}
	a.aloneUnsent(t, src)
	src.commit(3, []byte("p"))
	b := start(t, Config{Source: src, Conn: srv.Connect(t), Heartbeat: 50 * time.Millisecond})
	eventually(t, "all events", published(b, 9))
	if err := a.pub.commit(a.flight); err != nil {
		t.Fatal(err)
	}
	if err := a.land(t); !errors.Is(err, errDeposed) {
		t.Errorf("an event of the old relay: %v", err)
	}
	if got, want := streamed(t, b.cfg.Conn), src.ids(); !slices.Equal(got, want) {
		t.Errorf("the stream holds %v, want %v", got, want)
	}
}

// TestAnotherWasFirst: two relays start on an empty stream, and the first one has
// published when the second one looks at what is there.
func TestAnotherWasFirst(t *testing.T) {
	srv, src := natstest.Start(t), newFakeSource()
	a := deaf(t, srv, src)
	a.goAlone(t, src)
	must(t, a.land(t))
	b, err := New(Config{Source: src, Name: "shop", Conn: srv.Connect(t)})
	must(t, err)
	if _, err := b.takeOver(t.Context(), nil, nil); !errors.Is(err, errDeposed) {
		t.Errorf("the second one: %v", err)
	}
}

// TestCheckpointIsNeverFarBehind: there is always something that may go by itself.
func TestCheckpointIsNeverFarBehind(t *testing.T) {
	srv, src := natstest.Start(t), newFakeSource()
	s := deaf(t, srv, src)
	s.r.cfg.Heartbeat = time.Hour // so that the time is loneTime
	most, longest, covers := 0, time.Duration(0), 0
	for s.held.Count < 3*loneMost {
		for range 3 {
			s.put(t, src.commit(1, []byte("p")))
		}
		_, err := s.fill(t.Context())
		must(t, err)
		if len(s.open.msgs) == 0 && !s.due() {
			t.Fatalf("nothing to send, with %d behind the checkpoint", len(s.lone.ids))
		}
		before := s.held.Seq
		must(t, s.cover(t))
		most = max(most, len(s.lone.ids))
		if len(s.lone.ids) > 0 {
			longest = max(longest, time.Since(s.lone.since))
		}
		if s.held.Seq != before {
			covers++
		}
		for events, _ := s.queue.waiting(); events > 3; events, _ = s.queue.waiting() {
			if _, _, _, err := s.queue.take(func(*item) bool { return true }); err != nil { // only what is new counts here
				t.Fatal(err)
			}
		}
	}
	if most > loneMost || covers < 3 || most < 2 {
		t.Errorf("up to %d events behind, for up to %s; the checkpoint followed %d times", most, longest, covers)
	}
}

// TestFailedOverToAServerThatLacksIt: what the stream holds behind the checkpoint is not
// what the source goes on with.
func TestFailedOverToAServerThatLacksIt(t *testing.T) {
	srv, src := natstest.Start(t), newFakeSource()
	a := deaf(t, srv, src)
	a.goAlone(t, src)
	must(t, a.land(t))
	a.pub.close()
	other := newFakeSource()
	b := start(t, Config{Source: other, Conn: srv.Connect(t), Heartbeat: 50 * time.Millisecond})
	eventually(t, "a leader", func() bool { return b.Status().Role == Leader })
	seq := b.Status().Seq
	eventually(t, "heartbeats", func() bool { return b.Status().Seq > seq+1 })
	if c := b.Status().Checkpoint; c.Count != 0 || c.From == 0 {
		t.Errorf("the position moved past what the source has not said: %+v", c)
	}
	eventually(t, "the status to say so", func() bool { return strings.Contains(b.Status().Trouble, "event 1.1 at sequence 2, behind") })
	other.commit(0, nil)
	other.commit(2, nil)
	<-b.done
	var halt *checkpoint.HaltError
	if !errors.As(b.err, &halt) || !strings.Contains(halt.Problem, "event 1.1 where the binlog goes on with 2.1") {
		t.Errorf("ended with %v", b.err)
	}
	if got := streamed(t, b.cfg.Conn); !slices.Equal(got, []string{"1.1"}) {
		t.Errorf("the stream holds %v", got)
	}
}

// TestHeldBehindTheCheckpoint: an operator is told what lies behind the position. It is
// not repeated where the position stays, and is where it moves back.
func TestHeldBehindTheCheckpoint(t *testing.T) {
	for name, to := range map[string]int{"stays": 0, "moves over it": 2, "moves into it": 1} {
		t.Run(name, func(t *testing.T) {
			srv, src := natstest.Start(t), newFakeSource()
			a := deaf(t, srv, src)
			for range 2 {
				a.goAlone(t, src)
				must(t, a.land(t))
			}
			before, seen, err := holder(t, srv.Connect(t), src).Look(t.Context())
			must(t, err)
			a.pub.close()
			h, err := holder(t, srv.Connect(t), src).Hold(t.Context())
			must(t, err)
			if seen != h.Behind() || before.Epoch+1 != h.Held().Epoch {
				t.Errorf("looked at before it was held: %+v behind epoch %d", seen, before.Epoch)
			}
			if b := h.Behind(); b.Events != 2 || b.First != "1.1" || b.Last != "2.1" || b.FirstSequence != 2 || b.LastSequence != 3 {
				t.Errorf("behind it: %+v", b)
			}
			_, err = h.Set(t.Context(), src.upTo(to), checkpoint.Set{By: "ann", Reason: "r"})
			must(t, err)
			src.commit(1, []byte("p"))
			b := start(t, Config{Source: src, Conn: srv.Connect(t)})
			want := map[int][]string{0: {"1.1", "2.1", "3.1"}, 2: {"1.1", "2.1", "3.1"}, 1: {"1.1", "2.1", "2.1", "3.1"}}[to]
			eventually(t, "the rest", published(b, len(want)))
			if got := streamed(t, b.cfg.Conn); !slices.Equal(got, want) {
				t.Errorf("the stream holds %v, want %v", got, want)
			}
		})
	}
}

// TestLook: what lies behind the checkpoint is counted up to where the stream ends, also
// where its last messages are another's or were deleted, and nothing is written.
func TestLook(t *testing.T) {
	srv, src := natstest.Start(t), newFakeSource()
	op := holder(t, srv.Connect(t), src)
	op.cfg.Manage = true
	must(t, op.Prepare(t.Context()))
	if _, _, err := op.Look(t.Context()); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("without a checkpoint: %v", err)
	}
	a := deaf(t, srv, src)
	look := func(want int) {
		t.Helper()
		held, b, err := op.Look(t.Context())
		must(t, err)
		if b.Events != want || held.Seq != a.held.Seq || held.Nonce != a.held.Nonce {
			t.Errorf("%+v behind %d, want %d behind %d", b, held.Seq, want, a.held.Seq)
		}
	}
	look(0)
	for range 3 {
		a.goAlone(t, src)
		must(t, a.land(t))
	}
	look(3)
	stream, err := op.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	foreign := &nats.Msg{Subject: "outbox.orders.created", Header: nats.Header{binjet.HeaderSource: {"another"}}}
	ack, err := op.js.PublishMsg(t.Context(), foreign)
	must(t, err)
	look(3)
	must(t, stream.DeleteMsg(t.Context(), ack.Sequence))
	look(3)
	must(t, stream.DeleteMsg(t.Context(), ack.Sequence-1))
	look(2)
}
