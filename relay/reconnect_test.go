package relay

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/natstest"
)

// TestSameSequenceOfAnotherHistory: while a leader is cut off, the broker is put back
// to older data and another relay writes until its checkpoint has the sequence that
// the first one's had. The sequence is all that the broker compares, and yet nothing of
// the first one may be stored.
func TestSameSequenceOfAnotherHistory(t *testing.T) {
	for name, write := range map[string]func(t *testing.T, s *session) error{
		"heartbeat": func(t *testing.T, s *session) error { return s.again(t.Context()) },
		"batch": func(t *testing.T, s *session) error {
			if err := s.send(t.Context(), time.NewTimer(time.Hour)); err != nil {
				return err
			}
			seq, err := s.pub.wait(t.Context(), s.flight)
			return s.landed(t.Context(), seq, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := natstest.Start(t)
			src := newFakeSource()
			a := deaf(t, srv, src)
			streamDir := filepath.Join(srv.StoreDir(), "jetstream", "$G", "streams", "OUTBOX")
			old := filepath.Join(t.TempDir(), "old")
			srv.Stop()
			must(t, os.CopyFS(old, os.DirFS(streamDir)))
			srv.Start()
			must(t, reconnected(t, a.pub.nc))
			must(t, a.again(t.Context()))
			lost := a.held

			srv.Stop()
			srv.PutBack(old, "jetstream", "$G", "streams", "OUTBOX")
			srv.Start()
			b := deaf(t, srv, src)
			if b.held.Seq != lost.Seq {
				t.Fatalf("the other relay's checkpoint is at %d, the lost one was at %d", b.held.Seq, lost.Seq)
			}
			must(t, reconnected(t, a.pub.nc))
			a.read(t, src.commit(1, []byte("p")))
			if err := write(t, a); !errors.Is(err, errDeposed) {
				t.Errorf("a write behind another history: %v", err)
			}
			held, err := b.r.store.Load(t.Context())
			must(t, err)
			if held.Nonce != b.held.Nonce {
				t.Errorf("the stream holds the checkpoint of %s, epoch %d", held.Instance, held.Epoch)
			}
			if ids := streamed(t, b.pub.nc); len(ids) > 0 {
				t.Errorf("the stream holds %v", ids)
			}
		})
	}
}

// deaf is a leader that does what it is told only.
func deaf(t *testing.T, srv *natstest.Server, src Source) *session {
	t.Helper()
	r, err := New(Config{Source: src, Name: "shop", Conn: srv.Connect(t, nats.ReconnectBufSize(-1)), Manage: true})
	must(t, err)
	must(t, r.ensure(t.Context()))
	pub, err := newPublisher(r.cfg.Conn, r.store.Subject(), r.cfg.CommitTimeout)
	must(t, err)
	t.Cleanup(pub.close)
	var held *store.Held
	if h, err := r.store.Load(t.Context()); err == nil {
		held = &h
	}
	mine, err := r.takeOver(t.Context(), pub, held)
	must(t, err)
	s := &session{r: r, pub: pub, held: mine, queue: newQueue(1 << 20)}
	s.open = s.newBatch(checkpoint.Position{Flavor: checkpoint.MySQL})
	return s
}

// read puts a transaction into the open batch.
func (s *session) read(t *testing.T, tx *checkpoint.Transaction) {
	t.Helper()
	f := feeder{encoder: s.r.encoder(), queue: s.queue, backlog: new(backlog), maxMessages: 10, maxBytes: 1 << 20}
	must(t, f.feed(t.Context(), tx))
	if _, err := s.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// reconnected waits until the client knows of the broker that was started anew.
func reconnected(t *testing.T, nc *nats.Conn) error {
	t.Helper()
	eventually(t, "a connection to the new broker", func() bool { return nc.Stats().Reconnects > 0 && nc.IsConnected() })
	return nc.FlushTimeout(10 * time.Second)
}
