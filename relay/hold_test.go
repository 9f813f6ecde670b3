package relay

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/natstest"
)

// holder is a relay that is not run.
func holder(t *testing.T, nc *nats.Conn, src Source) *Relay {
	t.Helper()
	r, err := New(Config{Source: src, Conn: nc, Name: "shop", Instance: "operator", Heartbeat: 100 * time.Millisecond, CommitTimeout: 500 * time.Millisecond})
	must(t, err)
	return r
}

func (f *fakeSource) upTo(n int) checkpoint.Position {
	p := checkpoint.Position{Flavor: checkpoint.MySQL}
	for i := range n {
		p.Resume.Add(checkpoint.GTID{Flavor: checkpoint.MySQL, UUID: fakeUUID, N: uint64(i + 1)})
	}
	return p
}

// TestHoldDeposesAndSets: a leader that publishes is deposed, nothing is published
// while the checkpoint is held, and then it goes on from the position that was set.
func TestHoldDeposesAndSets(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	for range 4 {
		src.commit(1, []byte("p"))
	}
	r := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the first events", published(r, 4))
	before := r.Status().Checkpoint

	h, err := holder(t, srv.Connect(t), src).Hold(t.Context())
	must(t, err)
	held := h.Held()
	if held.Epoch != before.Epoch+1 || !held.Position.Resume.Equal(before.Resume) {
		t.Errorf("holds epoch %d at %s, and it was %d at %s", held.Epoch, held.Where(), before.Epoch, before.Where())
	}
	src.commit(1, []byte("p")) // 5: not published while it is held
	eventually(t, "the leader to know", func() bool { return r.Status().Role == Standby })
	first := h.Held().Seq
	eventually(t, "more heartbeats than a standby waits for", func() bool { return h.Held().Seq >= first+6 })
	if got := streamed(t, r.cfg.Conn); len(got) != 4 {
		t.Errorf("published while it was held: %v", got)
	}

	set, err := h.Set(t.Context(), src.upTo(2), checkpoint.Set{By: "ann", Reason: "handlers lost 3 and 4"})
	must(t, err)
	if set.Set == nil || set.Set.By != "ann" || set.Set.From != before.Where() || set.Set.To != src.upTo(2).Where() || !set.Released {
		t.Errorf("set %+v", set.Checkpoint)
	}
	eventually(t, "the rest again", func() bool { return len(streamed(t, r.cfg.Conn)) == 7 })
	if got, want := streamed(t, r.cfg.Conn), []string{"1.1", "2.1", "3.1", "4.1", "3.1", "4.1", "5.1"}; !slices.Equal(got, want) {
		t.Errorf("stream holds %v, want %v", got, want)
	}
	eventually(t, "the note to stay", func() bool {
		now := r.Status().Checkpoint
		return now.Count == 7 && now.Set != nil && now.Set.Reason == "handlers lost 3 and 4"
	})
	copies, err := r.listCopies(t.Context())
	must(t, err)
	if !slices.ContainsFunc(copies, func(c store.Copy) bool { return c.Seq == set.Seq }) {
		t.Error("no copy of what was set")
	}
}

// TestHoldIsReleased: what nobody set is as before, and is led on at once.
func TestHoldIsReleased(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the first event", published(r, 1))
	h, err := holder(t, srv.Connect(t), src).Hold(t.Context())
	must(t, err)
	must(t, h.Release(t.Context()))
	src.commit(1, []byte("p"))
	eventually(t, "the second event", published(r, 2))
	if got := streamed(t, r.cfg.Conn); !slices.Equal(got, src.ids()) {
		t.Errorf("stream holds %v", got)
	}
}

// onceLed is a broker that holds the first event of a source whose relay has stopped.
func onceLed(t *testing.T) (*natstest.Server, *fakeSource) {
	t.Helper()
	srv := natstest.Start(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the first event", published(r, 1))
	r.halt(t)
	return srv, src
}

// TestHoldLost: a hold that another relay took over sets nothing.
func TestHoldLost(t *testing.T) {
	srv, src := onceLed(t)
	h, err := holder(t, srv.Connect(t), src).Hold(t.Context())
	must(t, err)
	other, err := holder(t, srv.Connect(t), src).Hold(t.Context())
	must(t, err)
	if _, err := h.Set(t.Context(), checkpoint.Position{}, checkpoint.Set{}); !errors.Is(err, ErrHoldLost) {
		t.Errorf("set: %v", err)
	}
	if now := other.Held(); now.Where() != src.upTo(1).Where() || now.Set != nil {
		t.Errorf("holds %+v", now.Checkpoint)
	}
	must(t, other.Release(t.Context()))
}

// TestHoldIsNotLostToItself: a heartbeat that is under way when the hold ends is waited
// for. One that is cut off may be stored all the same, and looks like another relay's.
func TestHoldIsNotLostToItself(t *testing.T) {
	srv, src := onceLed(t)
	op := holder(t, srv.Connect(t), src)
	op.cfg.Heartbeat = 100 * time.Microsecond // so that there always is one
	for range 50 {
		h, err := op.Hold(t.Context())
		must(t, err)
		first := h.Held().Seq
		eventually(t, "a heartbeat", func() bool { return h.Held().Seq > first })
		_, err = h.Set(t.Context(), src.upTo(1), checkpoint.Set{By: "ann"})
		must(t, err)
	}
}

// TestHoldEndsWithoutTheBroker: whoever ends a hold says how long that may take.
func TestHoldEndsWithoutTheBroker(t *testing.T) {
	srv, src := onceLed(t)
	h, err := holder(t, srv.Connect(t), src).Hold(t.Context())
	must(t, err)
	srv.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := h.Release(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("released: %v", err)
	}
}

// TestFound: a checkpoint that was saved is put where there is none, and only there.
func TestFound(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	for range 3 {
		src.commit(1, []byte("p"))
	}
	r := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the first events", published(r, 3))
	r.halt(t)
	held, err := r.store.Load(t.Context())
	must(t, err)
	state, err := r.store.State(t.Context())
	must(t, err)
	saved := store.Copy{Checkpoint: held.Checkpoint, Seq: held.Seq, Stream: "OUTBOX", Created: state.Created}
	op := holder(t, srv.Connect(t), src)
	if _, err := op.Found(t.Context(), saved, checkpoint.Set{}); !errors.Is(err, ErrCheckpointExists) {
		t.Errorf("over one that exists: %v", err)
	}

	stream, err := r.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	must(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject(r.store.Subject())))
	other := saved
	other.Created = time.Now()
	var halted *checkpoint.HaltError
	if _, err := op.Found(t.Context(), other, checkpoint.Set{}); !errors.As(err, &halted) {
		t.Errorf("into a stream that holds events and is not the one of then: %v", err)
	}

	must(t, r.js.DeleteStream(t.Context(), "OUTBOX"))
	must(t, r.Prepare(t.Context()))
	if _, err := op.Hold(t.Context()); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("hold what is not there: %v", err)
	}
	founded, err := op.Found(t.Context(), saved, checkpoint.Set{By: "ann"})
	must(t, err)
	if founded.Epoch <= held.Epoch || founded.Count != 3 || founded.Set.By != "ann" {
		t.Errorf("founded %+v", founded.Checkpoint)
	}
	src.commit(1, []byte("p"))
	again := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the next event", published(again, 4))
	if got := streamed(t, again.cfg.Conn); !slices.Equal(got, []string{"4.1"}) {
		t.Errorf("stream holds %v", got)
	}
}

// TestFoundInTheSameStream: events behind the saved checkpoint are not repeated.
func TestFoundInTheSameStream(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the first event", published(r, 1))
	saved := store.Copy{Checkpoint: r.Status().Checkpoint, Seq: r.Status().Seq, Stream: "OUTBOX"}
	src.commit(1, []byte("p"))
	eventually(t, "the second event", published(r, 2))
	r.halt(t)
	state, err := r.store.State(t.Context())
	must(t, err)
	saved.Created = state.Created
	stream, err := r.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	must(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject(r.store.Subject())))
	_, err = holder(t, srv.Connect(t), src).Found(t.Context(), saved, checkpoint.Set{})
	must(t, err)
	src.commit(1, []byte("p"))
	again := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the third event", published(again, 3))
	if got := streamed(t, again.cfg.Conn); !slices.Equal(got, src.ids()) {
		t.Errorf("stream holds %v", got)
	}
}
