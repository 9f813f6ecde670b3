package relay

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/internal/testcert"
)

// TestLimitsOfNow: a row is put aside for its size by what the broker takes now, and not
// by what it said when the relay connected or began to lead.
func TestLimitsOfNow(t *testing.T) {
	const low, high = 300 << 10, 1 << 20
	for name, set := range map[string]func(*testing.T, *natstest.Server, int){
		"max_payload": func(_ *testing.T, srv *natstest.Server, n int) {
			srv.Reload(func(o *server.Options) { o.MaxPayload = int32(n) })
		},
		"max_msg_size": func(t *testing.T, srv *natstest.Server, n int) {
			js, err := jetstream.New(srv.Connect(t))
			must(t, err)
			s, err := js.Stream(t.Context(), "OUTBOX")
			must(t, err)
			cfg := s.CachedInfo().Config
			cfg.MaxMsgSize = int32(n)
			_, err = js.UpdateStream(t.Context(), cfg)
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := natstest.Start(t)
			src := newFakeSource()
			before := start(t, Config{Source: src, Conn: srv.Connect(t)})
			eventually(t, "a leader", func() bool { return before.Status().Role == Leader })
			before.halt(t)
			set(t, srv, low)
			large := bytes.Repeat([]byte("x"), low+low/2)
			src.commit(1, large)
			r := start(t, Config{Source: src, Conn: srv.Connect(t)})
			eventually(t, "the dead letter of a row that is too large", func() bool { return len(dead(t, r.cfg.Conn)) > 0 })
			src.commit(1, []byte("p"))
			eventually(t, "the event behind it", published(r, 1))
			set(t, srv, high)
			letters := len(dead(t, r.cfg.Conn))
			src.commit(1, large)
			eventually(t, "the row that is no longer too large", published(r, 2))
			if got := streamed(t, r.cfg.Conn); !slices.Equal(got, []string{"2.1", "3.1"}) || len(dead(t, r.cfg.Conn)) != letters {
				t.Errorf("the stream holds %v, and there are %d dead letters, not %d", got, len(dead(t, r.cfg.Conn)), letters)
			}
		})
	}
}

// TestLimitsAreAskedFor: whatever stands between the relay and the broker.
func TestLimitsAreAskedFor(t *testing.T) {
	ca := testcert.NewCA(t)
	for name, c := range map[string]struct {
		server func(*server.Options)
		client []nats.Option
	}{
		"TLS": {func(o *server.Options) {
			o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))}}
		}, []nats.Option{nats.Secure(&tls.Config{RootCAs: ca.Pool()})}},
		"a login":         {func(o *server.Options) { o.Username, o.Password = "relay", "secret" }, []nats.Option{nats.UserInfo("relay", "secret")}},
		"no second place": {func(o *server.Options) { o.MaxConn = 1 }, []nats.Option{nats.ReconnectWait(time.Millisecond)}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := natstest.Start(t, c.server, func(o *server.Options) { o.MaxPayload = 300 << 10 })
			src := newFakeSource()
			r := start(t, Config{Source: src, Conn: srv.Connect(t, c.client...)})
			eventually(t, "a leader", func() bool { return r.Status().Role == Leader })
			srv.Reload(func(o *server.Options) { o.MaxPayload = 1 << 20 })
			src.commit(1, bytes.Repeat([]byte("x"), 400<<10))
			eventually(t, "the event", published(r, 1))
		})
	}
}
