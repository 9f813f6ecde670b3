package consumer_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// link is a way to the broker that loses what is on it when it is cut.
type link struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	mute  bool // what the broker says is read and lost
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func newLink(t *testing.T, url string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, to: strings.TrimPrefix(url, "nats://"), conns: make(map[net.Conn]struct{})}
	l.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.wg.Go(func() { l.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
		l.wg.Wait()
	})
	return l
}

func (l *link) url() string { return "nats://" + l.listener.Addr().String() }

func (l *link) carry(client net.Conn) {
	broker, err := net.Dial("tcp", l.to)
	if err != nil {
		_ = client.Close()
		return
	}
	l.mu.Lock()
	l.conns[client], l.conns[broker] = struct{}{}, struct{}{}
	l.mu.Unlock()
	over := func() { _ = client.Close(); _ = broker.Close() }
	l.wg.Go(func() { defer over(); _, _ = io.Copy(broker, client) })
	defer over()
	buf := make([]byte, 64<<10)
	for {
		n, err := broker.Read(buf)
		l.mu.Lock()
		mute := l.mute
		l.mu.Unlock()
		if err != nil {
			return
		}
		if mute {
			continue
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// lose drops what the broker says for a moment, and then cuts the connection.
func (l *link) lose(d time.Duration) {
	l.mu.Lock()
	l.mute = true
	l.mu.Unlock()
	<-time.After(d)
	l.cut()
	l.mu.Lock()
	l.mute = false
	l.mu.Unlock()
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		_ = conn.Close()
		delete(l.conns, conn)
	}
}

// TestLostOnTheWay: the broker goes on while the connections of both members are
// cut again and again with messages on them. None of those is overtaken or missed.
func TestLostOnTheWay(t *testing.T) {
	w := newWorld(t, "4")
	cfg := w.ordered()
	cfg.MaxDeliver = consumer.NoLimit
	cfg.Inbox = inbox.NewMemory(0)
	var got keyLog
	links := []*link{newLink(t, w.srv.URL()), newLink(t, w.srv.URL())}
	for _, l := range links {
		w.joinAt(l.url(), cfg, func(c *consumer.Consumer) {
			c.Handle(">", func(ctx context.Context, m *consumer.Message) error {
				if rand.IntN(20) == 0 {
					return context.DeadlineExceeded
				}
				got.add(m)
				return nil
			})
		})
	}
	each := w.loadOn(4, 16)
	for i := range 12 {
		before := got.count()
		eventually(t, "progress between two cuts", func() bool { return got.count() > before+16 })
		links[i%2].lose(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	n := each()
	eventually(t, "all are handled", func() bool { return got.count() >= 16*n })
	w.nothingOpen(4)
	got.wantInOrder(t, 16, n)
}

// joinAt is joinWith by another way to the broker.
func (w *world) joinAt(url string, cfg consumer.Config, add func(*consumer.Consumer)) *member {
	w.t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	return w.joinOn(nc, cfg, add)
}
