package faults

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestStreamPutBack: the broker's files are put back to an older copy, while the
// streamer runs and while it is down. It rewinds and says the rest again: in the
// end every committed row is in the stream, once, in order.
func TestStreamPutBack(t *testing.T) {
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		for name, running := range map[string]bool{"while it runs": true, "while it is down": false} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, flavor)
				nc := w.nats.Connect(t)
				p := w.start()
				ws := w.write(4)
				eventually(t, "the first events", func() bool { return count(nc) > 500 })
				w.nats.Stop()
				old := filepath.Join(t.TempDir(), "old")
				must(t, os.CopyFS(old, os.DirFS(w.nats.StoreDir())))
				w.nats.Start()
				before := count(nc)
				eventually(t, "more events", func() bool { return count(nc) > before+2000 })
				if !running {
					ws.halt()
					p.stop(t)
				}
				w.nats.Stop()
				w.nats.PutBack(old)
				w.nats.Start()
				if !running {
					p = w.start()
				}
				pause(t, 500*time.Millisecond)
				ws.halt()
				truth := w.truth()
				eventually(t, "all events again", func() bool { return count(nc) >= uint64(len(truth)) })
				events := readStream(t, nc)
				compare(t, events, truth)
				contiguous(t, events)
				if code := p.stop(t); code != 0 {
					t.Fatalf("a clean stop ended with code %d:\n%s", code, tail(p.log))
				}
			})
		}
	})
}
