package relay

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/natstest"
)

// TestManySourcesJoinOneStream: sources that begin at the same moment each write
// the stream's configuration, which the broker has no compare-and-set for. Once
// all are prepared, none has taken out another's subject.
func TestManySourcesJoinOneStream(t *testing.T) {
	srv := natstest.Start(t)
	js, err := jetstream.New(srv.Connect(t))
	must(t, err)
	const sources = 8
	for round := range 25 {
		name := fmt.Sprintf("S%d", round)
		var relays []*Relay
		for i := range sources {
			r, err := New(Config{Source: newFakeSource(), Conn: srv.Connect(t), Stream: name, Manage: true,
				SubjectPrefix: "p" + name, Name: fmt.Sprintf("%s-%d", name, i)})
			must(t, err)
			relays = append(relays, r)
		}
		var wg sync.WaitGroup
		for _, r := range relays {
			wg.Go(func() {
				if err := r.Prepare(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s, err := js.Stream(t.Context(), name)
		must(t, err)
		subjects := s.CachedInfo().Config.Subjects
		for _, r := range relays {
			if !slices.Contains(subjects, r.store.Subject()) {
				t.Fatalf("round %d: %s is not among %v", round, r.store.Subject(), subjects)
			}
		}
		for _, r := range relays {
			_, err := r.cfg.Conn.Request(r.store.Subject(), nil, 2*time.Second)
			if err != nil {
				t.Errorf("round %d: %s: %v", round, r.store.Subject(), err)
			}
			r.cfg.Conn.Close()
		}
	}
}

// TestLockOfTheDead: a process that died while it held the lock keeps nobody out
// for longer than it takes to tell.
func TestLockOfTheDead(t *testing.T) {
	t.Parallel() // it waits for seconds
	srv := natstest.Start(t)
	dead, err := New(Config{Source: newFakeSource(), Conn: srv.Connect(t), Name: "dead", Manage: true})
	must(t, err)
	must(t, dead.Prepare(t.Context()))
	_, err = dead.lock(t.Context())
	must(t, err)
	next, err := New(Config{Source: newFakeSource(), Conn: srv.Connect(t), Name: "next", Manage: true})
	must(t, err)
	must(t, next.Prepare(t.Context()))
	if _, missing, err := next.configured(t.Context()); err != nil || missing {
		t.Errorf("subject missing %v, %v", missing, err)
	}
}
