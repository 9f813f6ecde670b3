package relay

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

// A transaction that can't even enter the queue is seen waiting, while the
// checkpoint is as fresh as ever; and it is gone from the backlog once it is stored.
func TestBacklog(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	src := newFakeSource()
	src.commit(3, []byte("p"))
	var mu sync.Mutex
	var parts []Part
	var sizes []int
	r := start(t, Config{Source: src, Conn: nc, BatchMessages: 2, Heartbeat: 50 * time.Millisecond, Hooks: Hooks{Committed: func(c Commit) {
		mu.Lock()
		defer mu.Unlock()
		parts = append(parts, c.Parts...)
		for _, p := range c.Parts {
			sizes = append(sizes, len(p.Messages))
		}
	}}})
	eventually(t, "the first events", published(r, 3))
	eventually(t, "an empty backlog", func() bool { return r.Backlog() == Backlog{} })

	if err := js.DeleteStream(t.Context(), "OUTBOX_DLQ"); err != nil {
		t.Fatal(err)
	}
	src.commitInvalid(2, []byte("p"), checkpoint.Invalid{Index: 0, Reason: "any"})
	src.commit(1, []byte("p"))
	eventually(t, "the transaction that waits", func() bool { return r.Backlog().Transactions == 1 && r.Status().Trouble != "" })
	since, seq := r.Backlog().Since, r.Status().Seq
	eventually(t, "heartbeats meanwhile", func() bool { return r.Status().Seq > seq+2 })
	if now := r.Backlog(); !now.Since.Equal(since) || since.IsZero() {
		t.Errorf("a heartbeat moved the backlog's time: %+v, was %s", now, since)
	}
	if err := r.ensure(t.Context()); err != nil { // makes the stream anew
		t.Fatal(err)
	}
	eventually(t, "the other events", published(r, 5))
	eventually(t, "an empty backlog", func() bool { return r.Backlog() == Backlog{} })
	mu.Lock()
	defer mu.Unlock()
	if len(parts) != 4 || sizes[0] != 2 || sizes[1] != 1 || sizes[2] != 1 || !parts[0].Committed.Equal(parts[1].Committed) || parts[0].Committed.IsZero() {
		t.Errorf("the hook was given %v of %v", sizes, parts)
	}
}

// What was read and not stored by a leader is nobody's backlog once it leads no more.
func TestBacklogEndsWithTheTerm(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	r := start(t, Config{Source: src, Conn: srv.Connect(t), OnInvalid: Halt})
	src.commitInvalid(1, []byte("p"), checkpoint.Invalid{Index: 0, Reason: "any"})
	<-r.done
	var halt *checkpoint.HaltError
	if !errors.As(r.err, &halt) || r.Backlog() != (Backlog{}) {
		t.Errorf("%v, and %+v is left", r.err, r.Backlog())
	}
}
