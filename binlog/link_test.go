package binlog

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// mute listens and says nothing, as a paused server does.
func mute(t *testing.T) (addr string, accepted <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ch := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			ch <- struct{}{}
			go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	return l.Addr().String(), ch
}

func readerAt(t *testing.T, addr string, change func(*Config)) *Reader {
	t.Helper()
	cfg := Config{Addr: addr, User: "u", Tables: []string{"s.t"}}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A server that does not answer holds up nothing that is asked to end.
func TestMuteServer(t *testing.T) {
	addr, accepted := mute(t)
	r := readerAt(t, addr, nil)
	for name, call := range map[string]func(context.Context) error{
		"begin":  func(ctx context.Context) error { _, err := r.Begin(ctx); return err },
		"verify": func(ctx context.Context) error { return r.Verify(ctx, checkpoint.Position{}) },
		"stream": func(ctx context.Context) error { return r.Stream(ctx, checkpoint.Position{}, nil) },
		"check":  func(ctx context.Context) error { _, err := r.Check(ctx); return err },
		"dump": func(ctx context.Context) error {
			return r.dump(ctx, checkpoint.MySQL, origin{}, func([]byte) error { return nil })
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- call(ctx) }()
		<-accepted
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s does not end", name)
		}
	}
}

// A server that can't be reached is tried again until the context ends.
func TestStreamRetries(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	r := readerAt(t, addr, func(c *Config) {
		c.Hooks.Disconnected = func(error) {
			if tries++; tries == 3 {
				cancel()
			}
		}
	})
	if err := r.Stream(ctx, checkpoint.Position{}, nil); !errors.Is(err, context.Canceled) || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

// A silent connection is dead after the timeout; deadlines from above are ignored.
func TestLinkTimeout(t *testing.T) {
	addr, _ := mute(t)
	l := newLink(20 * time.Millisecond)
	defer l.close()
	c, err := l.dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read: %v", err)
	}
	if err := c.SetDeadline(time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Errorf("write behind an old deadline: %v", err)
	}
	l.close()
	if _, err := l.dial(t.Context(), "tcp", addr); !errors.Is(err, errLinkClosed) {
		t.Errorf("dial after close: %v", err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("the connection is open after close")
	}
}
