package relay

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/natstest"
)

// TestALateAnswerIsNotTakenForTheNextCommit: the answer to a commit that was
// settled by reading arrives when the next commit could not even be sent.
func TestALateAnswerIsNotTakenForTheNextCommit(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	r := start(t, Config{Source: newFakeSource(), Conn: srv.Connect(t)})
	eventually(t, "a stream", func() bool { return r.Status().Role == Leader })
	r.halt(t)
	pub, err := newPublisher(nc, r.store.Subject(), 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	held, err := r.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.prepareSame(held, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.commit(w); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer to the first", func() bool { return len(pub.replies) == 1 })
	nc.Close()
	next := &write{batch: &batch{msgs: []*nats.Msg{newSpares().take()}}}
	if err := pub.commit(next); err == nil {
		t.Fatal("a commit over a closed connection was sent")
	}
	if seq, err := pub.wait(t.Context(), next); err == nil {
		t.Fatalf("the commit that was never sent got the sequence %d of the one before", seq)
	}
}

// TestPartialIsKept: on another server a transaction without events may come
// before the large one that is half published.
func TestPartialIsKept(t *testing.T) {
	large := checkpoint.GTID{Flavor: checkpoint.MySQL, N: 7}
	other := &checkpoint.Transaction{GTID: checkpoint.GTID{Flavor: checkpoint.MySQL, N: 8}}
	start := checkpoint.Position{Partial: &checkpoint.Partial{GTID: large, Rows: 3}}
	pos := start.Clone()
	pos.Apply(other)
	if pos.Partial == nil {
		t.Error("Apply forgot the transaction that is half published")
	}
	q := newQueue(100)
	q.skip(other)
	it, _, _, _ := q.take(func(*item) bool { return true })
	pos = start.Clone()
	if it.apply(&pos); pos.Partial == nil {
		t.Error("a skipped transaction made the queue forget the one that is half published")
	}
}

// TestDeletedCopiesAreGone: deleting the key is how an operator begins anew.
func TestDeletedCopiesAreGone(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	js, _ := jetstream.New(nc)
	if _, err := store.EnsureBucket(t.Context(), js, 1); err != nil {
		t.Fatal(err)
	}
	copies, err := store.OpenCopies(t.Context(), js, "shop")
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), binjet.CheckpointBucket)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(2) {
		if err := copies.Put(t.Context(), store.Copy{Seq: seq + 1}); err != nil {
			t.Fatal(err)
		}
		if seq == 0 {
			if err := kv.Delete(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
			if list, err := copies.List(t.Context()); err != nil || len(list) != 0 {
				t.Fatalf("after the deletion: %v, %v", list, err)
			}
		}
	}
	if list, err := copies.List(t.Context()); err != nil || len(list) != 1 || list[0].Seq != 2 {
		t.Fatalf("after a new copy: %v, %v", list, err)
	}
}

func TestPermanentCauses(t *testing.T) {
	for cause, want := range map[error]bool{
		nats.ErrMaxPayload: true, &RefusedError{Code: codeTooLargeBatch}: true, &RefusedError{Code: codeTooLargeHeaders}: true,
		&RefusedError{Code: codeTTLInvalid}: true, ErrNoAnswer: false, &RefusedError{Code: 10071}: false, &RefusedError{Code: 10176}: false,
	} {
		var halt *checkpoint.HaltError
		if got := errors.As(permanent(cause), &halt); got != want {
			t.Errorf("%v: halts %v, want %v", cause, got, want)
		}
	}
}
