package relay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/natstest"
)

// TestConnectionIsClosed: on a connection that is closed for good, no relay waits for a
// better time, whether it leads or stands by.
func TestConnectionIsClosed(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	leader := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "a leader", func() bool { return leader.Status().Role == Leader })
	standby := start(t, Config{Source: src, Conn: srv.Connect(t)})
	src.commit(1, []byte("p"))
	for name, r := range map[string]*running{"the standby": standby, "the leader": leader} {
		r.cfg.Conn.Close()
		select {
		case <-r.done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s goes on, on a connection that is closed", name)
		}
		if !errors.Is(r.err, nats.ErrConnectionClosed) || !strings.Contains(r.err.Error(), "another one has to be opened") {
			t.Errorf("%s ended with %v", name, r.err)
		}
	}
}
