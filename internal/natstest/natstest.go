// Package natstest runs a real nats-server with JetStream inside the test's
// process, in a temporary directory. The port and the directory stay
// the same over Stop and Start, so a test can take the broker away and bring it
// back with what it had stored.
package natstest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// ready bounds how long a server may take to accept connections. It is far
// above what an idle machine needs, because tests share slow ones.
const ready = 30 * time.Second

// Server is one embedded nats-server. Its methods may not be called
// concurrently with each other.
type Server struct {
	tb    testing.TB
	opts  *server.Options
	srv   *server.Server
	store string
}

// Start runs a server on a free port of 127.0.0.1 with file storage below
// a temporary directory, and stops it when the test ends. opts change the server's
// options before it starts; host, port and the store directory may be changed too.
func Start(tb testing.TB, opts ...func(*server.Options)) *Server {
	tb.Helper()
	o := &server.Options{
		Host:      "127.0.0.1",
		Port:      server.RANDOM_PORT,
		JetStream: true,
		StoreDir:  tempDir(tb),
		NoLog:     true,
		NoSigs:    true,
	}
	for _, opt := range opts {
		opt(o)
	}
	s := &Server{tb: tb, opts: o, store: o.StoreDir}
	s.Start()
	tb.Cleanup(s.Stop)
	return s
}

// Start runs the server again after [Server.Stop], on the same port and store.
// It does nothing while the server runs.
func (s *Server) Start() {
	s.tb.Helper()
	if s.srv != nil {
		return
	}
	srv, err := server.NewServer(s.opts.Clone())
	if err != nil {
		s.tb.Fatalf("natstest: configure the server: %v", err)
	}
	go srv.Start()
	if !srv.ReadyForConnections(ready) {
		srv.Shutdown()
		s.tb.Fatalf("natstest: the server on port %d accepts no connections after %s", s.opts.Port, ready)
	}
	if addr, ok := srv.Addr().(*net.TCPAddr); ok {
		s.opts.Port = addr.Port
	}
	s.srv = srv
}

// Stop shuts the server down and waits until it is gone. What it stored stays.
// It does nothing when the server is not running.
func (s *Server) Stop() {
	if s.srv == nil {
		return
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.srv = nil
}

// Restart is Stop and Start.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	s.Start()
}

// Reload changes options of the server while it runs, as an operator does by its file.
func (s *Server) Reload(change func(*server.Options)) {
	s.tb.Helper()
	o := s.opts.Clone()
	change(o)
	if err := s.srv.ReloadOptions(o); err != nil {
		s.tb.Fatalf("natstest: reload: %v", err)
	}
	s.opts = o
}

// PutBack replaces what the stopped server has stored by a copy that was made of
// [Server.StoreDir] before, or of the part of it that below names.
func (s *Server) PutBack(copied string, below ...string) {
	s.tb.Helper()
	dir := filepath.Join(append([]string{s.store}, below...)...)
	if err := errors.Join(remove(dir), os.CopyFS(dir, os.DirFS(copied))); err != nil {
		s.tb.Fatalf("natstest: put back %s: %v", dir, err)
	}
}

// tempDir is tb.TempDir, whose removal fails where a server that was shut down still
// writes: it ends the batches that were open then a moment later.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "binjet-nats-")
	if err != nil {
		tb.Fatalf("natstest: %v", err)
	}
	tb.Cleanup(func() {
		if err := remove(dir); err != nil {
			tb.Errorf("natstest: %v", err)
		}
	})
	return dir
}

// remove is os.RemoveAll for as long as files appear in what it removes.
func remove(dir string) (err error) {
	for deadline := time.Now().Add(ready); time.Now().Before(deadline); {
		if err = os.RemoveAll(dir); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return err
}

// URL is where clients connect, the same over restarts.
func (s *Server) URL() string {
	return fmt.Sprintf("nats://%s", net.JoinHostPort(s.opts.Host, fmt.Sprint(s.opts.Port)))
}

// StoreDir is where the server keeps its streams.
func (s *Server) StoreDir() string { return s.store }

// Connect opens a connection that reconnects for ever and quickly, and closes
// it when tb ends. opts come last, so they win.
func (s *Server) Connect(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	all := append([]nats.Option{
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(0, 0),
	}, opts...)
	nc, err := nats.Connect(s.URL(), all...)
	if err != nil {
		tb.Fatalf("natstest: connect to %s: %v", s.URL(), err)
	}
	tb.Cleanup(nc.Close)
	return nc
}
