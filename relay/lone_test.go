package relay

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

// TestEventsAlone: on one server single events go by themselves, what can't goes in
// batches between them, and the checkpoint is never far behind.
func TestEventsAlone(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	var mu sync.Mutex
	var alone, behind, most int
	r := start(t, Config{Source: src, Conn: nc, Hooks: Hooks{Committed: func(c Commit) {
		mu.Lock()
		defer mu.Unlock()
		if behind++; !c.Alone {
			behind = 0
			return
		}
		alone++
		most = max(most, behind)
		if c.Events != 1 || len(c.Parts) != 1 || !c.Checkpoint.Has(c.Parts[0].gtid()) {
			t.Errorf("an event alone: %+v", c)
		}
	}}})
	want := 0
	for i := range 300 {
		size := 1
		if i%20 == 19 {
			size = 3
		}
		var headers binjet.Headers
		if i%50 == 10 {
			headers = binjet.Headers{binjet.HeaderTTL: {"3600"}}
		}
		src.commitWith(size, []byte("p"), headers)
		want += size
		if i%7 > 0 {
			eventually(t, "the event", func() bool { return r.Status().Events >= uint64(want) })
		}
	}
	eventually(t, "the checkpoint", published(r, want))
	if got := streamed(t, nc); !slices.Equal(got, src.ids()) {
		t.Errorf("the stream holds %v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if alone < 150 || alone > 300-15-6 || most > loneMost {
		t.Errorf("%d of %d events went by themselves, up to %d in a row", alone, want, most)
	}
}

func (p Part) gtid() checkpoint.GTID {
	g, err := checkpoint.ParseGTID(p.Messages[0].Header.Get(binjet.HeaderTx))
	if err != nil {
		panic(err)
	}
	return g
}

// TestNotAlone: on a cluster a batch costs no more, and is what is proven there.
func TestNotAlone(t *testing.T) {
	s := deaf(t, natstest.Start(t), newFakeSource())
	s.r.single.Store(false)
	s.put(t, s.r.cfg.Source.(*fakeSource).commit(1, nil))
	if s.quiet() {
		t.Error("an event goes by itself in a replicated stream")
	}
}

// TestEventsWaitForTheirCheckpoint: what comes while a checkpoint follows events that went by
// themselves is not staged, and goes by itself once the checkpoint has landed.
func TestEventsWaitForTheirCheckpoint(t *testing.T) {
	src := newFakeSource()
	s := deaf(t, natstest.Start(t), src)
	s.goAlone(t, src)
	must(t, s.land(t))
	s.lone.since = time.Now().Add(-loneTime)
	if !s.due() {
		t.Fatal("the checkpoint does not follow")
	}
	must(t, s.send(t.Context(), time.NewTimer(time.Hour)))
	s.put(t, src.commit(1, nil))
	if _, err := s.fill(t.Context()); err != nil || len(s.open.msgs) > 0 {
		t.Fatalf("%d events are staged behind a checkpoint in flight; %v", len(s.open.msgs), err)
	}
	must(t, s.land(t))
	if _, err := s.fill(t.Context()); err != nil || !s.open.alone {
		t.Fatalf("the event is to go in a batch; %v", err)
	}
}

// put puts a transaction into the queue.
func (s *session) put(t *testing.T, tx *checkpoint.Transaction) {
	t.Helper()
	f := feeder{encoder: s.r.encoder(), queue: s.queue, backlog: &s.r.backlog, maxMessages: 10, maxBytes: 1 << 20}
	must(t, f.feed(t.Context(), tx))
}

// goAlone commits an event and publishes it by itself; the answer is not read yet.
func (s *session) goAlone(t *testing.T, src *fakeSource) {
	t.Helper()
	s.aloneUnsent(t, src)
	if err := s.pub.commit(s.flight); err != nil {
		t.Fatal(err)
	}
}

// aloneUnsent is goAlone up to the moment before it is sent.
func (s *session) aloneUnsent(t *testing.T, src *fakeSource) {
	t.Helper()
	s.lone.resume, s.lone.since = time.Time{}, time.Now()
	s.put(t, src.commit(1, []byte("p")))
	if _, err := s.fill(t.Context()); err != nil || !s.open.alone {
		t.Fatalf("the event is to go in a batch; %v", err)
	}
	s.flight, s.sentAt = s.r.prepareAlone(s.open, s.held, max(s.lone.tail, s.held.Seq)), time.Now()
	s.open = s.newBatch(s.flight.batch.pos)
}

// land reads the answer and takes it.
func (s *session) land(t *testing.T) error {
	t.Helper()
	seq, cause := s.pub.wait(t.Context(), s.flight)
	return s.landed(t.Context(), seq, cause)
}

// cover lets the checkpoint follow.
func (s *session) cover(t *testing.T) error {
	t.Helper()
	if err := s.send(t.Context(), time.NewTimer(time.Hour)); err != nil {
		return err
	}
	return s.land(t)
}

// TestOutcomesAlone: every way in which the publishing of an event by itself can end.
func TestOutcomesAlone(t *testing.T) {
	type outcome struct {
		do      func(t *testing.T, srv *natstest.Server, s *session, src *fakeSource, old string) error
		want    error
		torn    bool
		uncover bool // what lies behind the checkpoint is for a take-over
		stored  int  // events then
	}
	for name, test := range map[string]outcome{
		"stored, and said so": {stored: 3, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			s.goAlone(t, src)
			return s.land(t)
		}},
		"stored, and the answer is lost": {stored: 3, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			s.goAlone(t, src)
			<-s.pub.replies
			return s.landed(t.Context(), 0, ErrNoAnswer)
		}},
		"stored, and called refused": {stored: 3, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			s.goAlone(t, src)
			<-s.pub.replies
			return s.landed(t.Context(), 0, &RefusedError{Code: 10071})
		}},
		"lost on its way": {stored: 3, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			s.aloneUnsent(t, src)
			return s.landed(t.Context(), 0, ErrNoAnswer)
		}},
		"late, when it was given up": {stored: 3, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			s.aloneUnsent(t, src)
			late := lateCopy(s.flight)
			if err := s.landed(t.Context(), 0, ErrNoAnswer); err != nil {
				return err
			}
			return refusedLate(t, s, late)
		}},
		"late, behind the fence only": {stored: 2, uncover: true, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			s.aloneUnsent(t, src)
			late := lateCopy(s.flight)
			if seq, err := s.fence(t.Context()); err != nil || seq != 0 {
				t.Fatalf("found at %d, %v", seq, err)
			}
			return refusedLate(t, s, late)
		}},
		"stored, and a copy of it is late": {stored: 3, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			s.goAlone(t, src)
			late := lateCopy(s.flight)
			if err := s.land(t); err != nil {
				return err
			}
			return refusedLate(t, s, late)
		}},
		"refused, since others write too": {stored: 3, do: func(t *testing.T, _ *natstest.Server, s *session, src *fakeSource, _ string) error {
			_, err := s.pub.nc.Request("outbox.of.another", nil, 10*time.Second)
			must(t, err)
			s.goAlone(t, src)
			if err := s.land(t); err != nil {
				return err
			}
			if !time.Now().Before(s.lone.resume) {
				t.Error("the next one goes by itself at once")
			}
			return nil
		}},
		"refused, since another relay leads": {stored: 2, want: errDeposed, do: func(t *testing.T, srv *natstest.Server, s *session, src *fakeSource, _ string) error {
			deaf(t, srv, src)
			s.goAlone(t, src)
			return s.land(t)
		}},
		"the connection is a new one": {stored: 3, do: func(t *testing.T, srv *natstest.Server, s *session, src *fakeSource, _ string) error {
			srv.Restart()
			must(t, reconnected(t, s.pub.nc))
			s.aloneUnsent(t, src)
			return s.landed(t.Context(), 0, s.pub.commit(s.flight))
		}},
		"an earlier one is gone": {stored: 0, torn: true, do: func(t *testing.T, srv *natstest.Server, s *session, src *fakeSource, old string) error {
			loseBehind(t, srv, s, old)
			s.aloneUnsent(t, src)
			return s.landed(t.Context(), 0, s.pub.commit(s.flight))
		}},
		"all are gone when the checkpoint follows": {stored: 0, torn: true, do: func(t *testing.T, srv *natstest.Server, s *session, _ *fakeSource, old string) error {
			loseBehind(t, srv, s, old)
			return s.cover(t)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv, src := natstest.Start(t), newFakeSource()
			s := deaf(t, srv, src)
			old := s.copyOf(t, srv)
			for range 2 {
				s.goAlone(t, src)
				must(t, s.land(t))
			}
			err := test.do(t, srv, s, src, old)
			if torn := (*tornError)(nil); test.torn != errors.As(err, &torn) || !test.torn && !errors.Is(err, test.want) {
				t.Fatal(err)
			}
			if got, want := streamed(t, s.pub.nc), src.ids()[:test.stored]; !slices.Equal(got, want) {
				t.Fatalf("the stream holds %v, want %v", got, want)
			}
			if err == nil && !test.uncover {
				must(t, s.cover(t))
				if s.held.Count != uint64(test.stored) || s.held.TrueAt(s.held.Seq) != s.held.Seq || len(s.lone.ids) > 0 {
					t.Errorf("the checkpoint counts %d events", s.held.Count)
				}
			}
			s.pub.close()
			b := start(t, Config{Source: src, Conn: srv.Connect(t), Heartbeat: 50 * time.Millisecond})
			all := src.ids()
			eventually(t, "the rest, from whoever takes over", published(b, len(all)))
			if got := streamed(t, b.cfg.Conn); !slices.Equal(got, all) {
				t.Errorf("in the end the stream holds %v, want %v", got, all)
			}
		})
	}
}

// lateCopy is a copy of what is under way.
func lateCopy(w *write) *write {
	late, msg := *w, w.batch.msgs[0]
	late.batch = &batch{msgs: []*nats.Msg{{Subject: msg.Subject, Header: maps.Clone(msg.Header), Data: msg.Data}}}
	return &late
}

// refusedLate sends a copy of what was settled long ago.
func refusedLate(t *testing.T, s *session, late *write) error {
	t.Helper()
	late.attempt.connection = s.r.store.Connection()
	s.pub.serial++
	late.serial = s.pub.serial
	must(t, s.pub.publishAlone(late))
	var refused *RefusedError
	if _, err := s.pub.wait(t.Context(), late); !errors.As(err, &refused) {
		t.Errorf("a late copy: %v", err)
	}
	return nil
}

// copyOf keeps what the broker has now, with the checkpoint that is held.
func (s *session) copyOf(t *testing.T, srv *natstest.Server) string {
	t.Helper()
	old := filepath.Join(t.TempDir(), "old")
	srv.Stop()
	must(t, os.CopyFS(old, os.DirFS(filepath.Join(srv.StoreDir(), "jetstream", "$G", "streams", "OUTBOX"))))
	srv.Start()
	must(t, reconnected(t, s.pub.nc))
	s.held.Connection = s.r.store.Connection() // as if the copy had been made without a restart
	return old
}

// loseBehind puts back what [session.copyOf] kept: events are gone, and the checkpoint is not.
func loseBehind(t *testing.T, srv *natstest.Server, s *session, old string) {
	t.Helper()
	before := s.pub.nc.Stats().Reconnects
	srv.Stop()
	srv.PutBack(old, "jetstream", "$G", "streams", "OUTBOX")
	srv.Start()
	eventually(t, "another connection", func() bool { return s.pub.nc.Stats().Reconnects > before && s.pub.nc.IsConnected() })
}
