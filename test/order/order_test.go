package order

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestMembersComeAndGo: three members and more, of which at random one is killed,
// paused for longer than it counts as alive, sent away or joined by another, and
// now and then the broker restarts. Each message has its effect once, and each
// key's effects came in the order of the stream.
func TestMembersComeAndGo(t *testing.T) {
	for _, tc := range []struct {
		flavor     dbserver.Flavor
		partitions int
	}{
		{dbserver.MySQL, 8}, {dbserver.MariaDB, 8}, {dbserver.PostgreSQL, 8}, {dbserver.MySQL, 0},
	} {
		t.Run(fmt.Sprintf("%s over %d", tc.flavor, tc.partitions), func(t *testing.T) {
			w := newWorld(t, tc.flavor, tc.partitions, 40)
			for range 3 {
				w.join()
			}
			l := w.load()
			w.progress()
			for step := range 8 {
				if step%3 == 2 {
					w.nats.Restart()
				}
				w.disturb()
				w.progress()
			}
			n := l.end()
			w.check(n)
			for _, p := range w.members {
				w.leave(p)
			}
			t.Logf("%d messages of %d keys", n*w.keys, w.keys)
		})
	}
}

// disturb does something to the members, of which there are two to five.
func (w *world) disturb() {
	at := rand.IntN(len(w.members))
	p := w.members[at]
	remove := func() { w.members = slices.Delete(w.members, at, at+1) }
	select {
	case <-time.After(time.Duration(rand.IntN(300)) * time.Millisecond):
	case <-w.t.Context().Done():
	}
	switch what := rand.IntN(10); {
	case what < 4:
		p.kill()
		remove()
		w.join()
	case what < 7:
		p.signal(syscall.SIGSTOP)
		go func() {
			select {
			case <-time.After(time.Duration(500+rand.IntN(1500)) * time.Millisecond):
			case <-w.t.Context().Done():
			}
			p.signal(syscall.SIGCONT)
		}()
	case what < 8 && len(w.members) > 2:
		remove()
		w.leave(p)
	case len(w.members) < 5:
		w.join()
	default:
		p.kill()
		remove()
	}
}
