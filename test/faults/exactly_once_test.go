package faults

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestKilledAgainAndAgain: eight writers, two streamers of which one is killed
// every moment, the broker and the database restarted. What committed is in the
// stream, once, in binlog order, transaction by transaction.
func TestKilledAgainAndAgain(t *testing.T) {
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		nc := w.nats.Connect(t)
		procs := []*process{w.start(), w.start()}
		ws := w.write(8)
		seen := w.watchCheckpoints(nc)
		const kills = 24
		rng := rand.New(rand.NewPCG(1, 2))
		for k := range kills {
			switch k {
			case 6, 12, 18:
				w.nats.Stop()
				pause(t, 200*time.Millisecond)
				w.nats.Start()
			case 15:
				must(t, w.srv.Restart(t.Context()))
			}
			before := count(nc)
			eventually(t, "events between two kills", func() bool {
				procs = w.revive(procs)
				return count(nc) > before
			})
			pause(t, time.Duration(rng.Int64N(int64(400*time.Millisecond))))
			victim := rng.IntN(len(procs))
			procs[victim].kill()
			procs[victim] = w.start()
		}
		ws.halt()
		truth := w.truth()
		ws.check(truth)
		eventually(t, "all events", func() bool {
			procs = w.revive(procs)
			return count(nc) >= uint64(len(truth))
		})
		list := seen.halt()
		events := readStream(t, nc)
		compare(t, events, truth)
		contiguous(t, events)
		wentAlone(t, events)
		seen.check(list, events)
		t.Logf("%d events, %d kills, epoch %d", len(events), kills, list[len(list)-1].Epoch)
	})
}

// revive starts again what ended by itself, which a streamer may do when it
// starts while a server is away.
func (w *world) revive(procs []*process) []*process {
	for i, p := range procs {
		if !p.alive() {
			if code := p.cmd.ProcessState.ExitCode(); code == 3 || code == 2 {
				w.t.Fatalf("a streamer ended with code %d:\n%s", code, tail(p.log))
			}
			procs[i] = w.start()
		}
	}
	return procs
}

// TestDeposedLeader: the leader is stopped for longer than three heartbeats and
// continued while another leads. Its late writes are refused.
func TestDeposedLeader(t *testing.T) {
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		nc := w.nats.Connect(t)
		procs := []*process{w.start(), w.start()}
		ws := w.write(4)
		leader := func() *process {
			var p *process
			eventually(t, "a leader", func() bool {
				h, ok := held(nc)
				for _, each := range procs {
					if ok && ledBy(h, each.cmd.Process.Pid) {
						p = each
					}
				}
				return p != nil && h.Count > 0
			})
			return p
		}
		for range 6 {
			p := leader()
			p.signal(syscall.SIGSTOP)
			h, _ := held(nc)
			eventually(t, "a take-over", func() bool { now, ok := held(nc); return ok && now.Epoch > h.Epoch && now.Count > h.Count })
			p.signal(syscall.SIGCONT)
			now, _ := held(nc)
			eventually(t, "events of the new leader", func() bool { return count(nc) > now.Count })
		}
		ws.halt()
		truth := w.truth()
		eventually(t, "all events", func() bool { return count(nc) >= uint64(len(truth)) })
		events := readStream(t, nc)
		compare(t, events, truth)
		contiguous(t, events)
		for _, p := range procs {
			if !p.alive() {
				t.Fatalf("a deposed streamer ended instead of standing by:\n%s", tail(p.log))
			}
			if code := p.stop(t); code != 0 {
				t.Fatalf("a clean stop ended with code %d:\n%s", code, tail(p.log))
			}
		}
	})
}

func count(nc *nats.Conn) uint64 {
	h, _ := held(nc)
	return h.Count
}

// pause lets the load run on for a moment; nothing is waited for.
func pause(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
