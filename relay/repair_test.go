package relay

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/natstest"
)

// TestLostSubjectIsAddedAgain: another process wrote the stream's configuration
// and took this source's checkpoint subject out of it.
func TestLostSubjectIsAddedAgain(t *testing.T) {
	t.Parallel() // it waits for seconds
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the first event", published(r, 1))
	js, err := jetstream.New(nc)
	must(t, err)
	cfg := r.streamConfig()
	cfg.Subjects = cfg.Subjects[:1]
	_, err = js.UpdateStream(t.Context(), cfg)
	must(t, err)
	src.commit(2, []byte("p"))
	eventually(t, "the events behind it", published(r, 3))
	if got, want := streamed(t, nc), src.ids(); !slices.Equal(got, want) {
		t.Fatalf("stream holds %v, want %v", got, want)
	}
}

// TestSubjectIsTakenAnew: the broker was seen to hold a subject in the stream's
// configuration and not to take it. Mending that costs a running relay nothing.
func TestSubjectIsTakenAnew(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the first event", published(r, 1))
	for range 5 {
		src.commit(2, []byte("p"))
		must(t, r.rejoin(t.Context()))
	}
	src.commit(2, []byte("p"))
	eventually(t, "the events behind it", published(r, 13))
	if got, want := streamed(t, nc), src.ids(); !slices.Equal(got, want) {
		t.Fatalf("stream holds %v, want %v", got, want)
	}
	js, err := jetstream.New(nc)
	must(t, err)
	s, err := js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	if got, want := s.CachedInfo().Config.Subjects, r.streamConfig().Subjects; !slices.Equal(got, want) {
		t.Errorf("subjects %v, want %v", got, want)
	}
}

// TestEpochsNeverComeAgain: the stream loses its tail while no relay runs. The
// epochs that were lost with it are known from the copies.
func TestEpochsNeverComeAgain(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	lead := func() uint64 {
		r := start(t, Config{Source: src, Conn: srv.Connect(t, nats.ReconnectBufSize(-1))})
		eventually(t, "a leader", func() bool { return r.Status().Role == Leader })
		r.halt(t)
		return r.Status().Checkpoint.Epoch
	}
	lead()
	srv.Stop()
	streamDir := filepath.Join(srv.StoreDir(), "jetstream", "$G", "streams", "OUTBOX")
	old := filepath.Join(t.TempDir(), "old")
	must(t, os.CopyFS(old, os.DirFS(streamDir)))
	srv.Start()
	lead()
	lost := lead()
	srv.Stop()
	srv.PutBack(old, "jetstream", "$G", "streams", "OUTBOX")
	srv.Start()
	if epoch := lead(); epoch <= lost {
		t.Fatalf("epoch %d after epoch %d was lost with the stream's tail", epoch, lost)
	}
}
