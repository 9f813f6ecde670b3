package faults

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestStoppedForAMinute: the leader is stopped in the middle of its work, for
// longer than any timeout of broker, database or operating system that it knows
// of, while another leads. What it writes when it goes on is refused, and it stands by.
func TestStoppedForAMinute(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, flavor)
			nc := w.nats.Connect(t)
			first := w.start()
			eventually(t, "a leader", func() bool { h, ok := held(nc); return ok && ledBy(h, first.cmd.Process.Pid) })
			second := w.start()
			ws := w.write(2)
			eventually(t, "events", func() bool { return count(nc) > 50 })
			first.signal(syscall.SIGSTOP)
			over := time.After(minute)
			eventually(t, "a take-over", func() bool { h, ok := held(nc); return ok && ledBy(h, second.cmd.Process.Pid) && h.Count > 100 })
			ws.halt()
			h, _ := held(nc)
			<-over
			now, _ := held(nc)
			if beats := now.Seq - h.Seq; beats < 60 || now.Epoch != h.Epoch {
				t.Errorf("in a minute the new leader wrote %d times, and %d others took over", beats, now.Epoch-h.Epoch)
			}
			again := w.write(2)
			first.signal(syscall.SIGCONT)
			eventually(t, "the old leader to stand by", func() bool { return strings.Contains(tail(first.log), "another relay leads; standing by") })
			before := count(nc)
			eventually(t, "more events", func() bool { return count(nc) > before+50 })
			again.halt()
			truth := w.truth()
			eventually(t, "all events", func() bool { return count(nc) >= uint64(len(truth)) })
			events := readStream(t, nc)
			compare(t, events, truth)
			contiguous(t, events)
			if now, _ := held(nc); !ledBy(now, second.cmd.Process.Pid) || now.Epoch != h.Epoch {
				t.Errorf("the old leader deposed the new one: %s leads, epoch %d after %d", now.Instance, now.Epoch, h.Epoch)
			}
			for _, p := range []*process{first, second} {
				if code := p.stop(t); code != 0 {
					t.Errorf("a clean stop ended with code %d:\n%s", code, tail(p.log))
				}
			}
		})
	}
}
