package relay

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/natstest"
)

// TestTroubleIsOfNow: what Status reports as trouble is what goes wrong now, for
// a leader, for a standby that can't read the checkpoint, and for one that can't take over.
func TestTroubleIsOfNow(t *testing.T) {
	srv := natstest.Start(t)
	connect := func() *nats.Conn { return srv.Connect(t, nats.ReconnectBufSize(-1)) }
	troubled := func(r *running) func() bool { return func() bool { return r.Status().Trouble != "" } }
	well := func(r *running, role Role) func() bool {
		return func() bool { s := r.Status(); return s.Trouble == "" && s.Role == role }
	}
	a := start(t, Config{Source: newFakeSource(), Conn: connect(), Instance: "a"})
	eventually(t, "a leads", well(a, Leader))
	cutOff := newFakeSource()
	b := start(t, Config{Source: cutOff, Conn: connect(), Instance: "b"})
	eventually(t, "b stands by", func() bool { return b.Status().Leader == a.cfg.Instance })

	srv.Stop()
	eventually(t, "trouble of the leader", troubled(a))
	eventually(t, "trouble of the standby", troubled(b))
	cutOff.unreachable.Store(true) // and so b stays what it is
	srv.Start()
	eventually(t, "a leader without trouble", well(a, Leader))
	eventually(t, "a standby without trouble", well(b, Standby))

	a.halt(t)
	eventually(t, "trouble to take over", func() bool { return strings.Contains(b.Status().Trouble, errUnreachable.Error()) })
	src := newFakeSource()
	c := start(t, Config{Source: src, Conn: connect(), Instance: "c", Heartbeat: 5 * time.Second})
	eventually(t, "c leads", well(c, Leader))
	eventually(t, "b without trouble", well(b, Standby))

	b.halt(t)
	usurp(t, c, "usurper")
	src.commit(1, nil) // which the broker refuses
	eventually(t, "c without trouble", func() bool { return c.Status().Leader == "usurper" && well(c, Standby)() })
}
