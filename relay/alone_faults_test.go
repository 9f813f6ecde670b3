package relay

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/natstest"
)

// TestAloneUnderFaults: events come slowly, so they go by themselves, while leaders are cut off
// in the middle of it, for good or for a moment, and the broker is restarted. What is in
// the stream in the end is what was committed, each once, in order.
func TestAloneUnderFaults(t *testing.T) {
	srv, src := natstest.Start(t), newFakeSource()
	var alone atomic.Int64
	lead := func() *running {
		return start(t, Config{Source: src, Conn: srv.Connect(t, nats.ReconnectBufSize(-1)), Heartbeat: 50 * time.Millisecond, CommitTimeout: 200 * time.Millisecond,
			Hooks: Hooks{Committed: func(c Commit) {
				if c.Alone {
					alone.Add(1)
				}
			}}})
	}
	rng := rand.New(rand.NewPCG(3, 4))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(4 * time.Millisecond):
			}
			size := 1
			if n%40 == 39 {
				size = 3
			}
			src.commit(size, []byte("p"))
		}
	}()
	relays := []*running{lead(), lead()}
	for round := range 30 {
		before := relays[0].Status().Checkpoint.Count + relays[1].Status().Checkpoint.Count
		eventually(t, "progress", func() bool {
			return relays[0].Status().Checkpoint.Count+relays[1].Status().Checkpoint.Count > before+uint64(rng.IntN(40))
		})
		victim := rng.IntN(2)
		switch {
		case round%6 == 5:
			srv.Restart()
		case round%3 == 1: // its connection is another one, and it goes on
			must(t, relays[victim].cfg.Conn.ForceReconnect())
		default: // it dies: nothing is released
			relays[victim].cfg.Conn.Close()
			relays[victim].halt(t)
			relays[victim] = lead()
		}
	}
	close(stop)
	<-stopped
	want := src.ids()
	eventually(t, "all events", func() bool {
		return published(relays[0], len(want))() || published(relays[1], len(want))()
	})
	if got := streamed(t, srv.Connect(t)); !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("event %d of the stream is %s, and %s was committed; around it %v", i, got[i], want[i], got[max(0, i-5):min(len(got), i+5)])
			}
		}
		t.Fatalf("%d events in the stream, %d committed", len(got), len(want))
	}
	t.Logf("%d events, %d by themselves", len(want), alone.Load())
	if alone.Load() == 0 {
		t.Error("none went by itself")
	}
}
