package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server is the admin server. A nil one does nothing.
type Server struct {
	http     *http.Server
	listener net.Listener
	scheme   string
	cancel   context.CancelFunc // ends the requests that last
	done     chan struct{}
}

// Listen serves handler on addr until [Server.Close], by TLS where there is a
// certificate. An address that can't be had is an error at once. The contexts of
// requests end when Close begins.
func Listen(addr string, cert *Certificate, handler http.Handler, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{listener: l, scheme: "http", cancel: cancel, done: make(chan struct{}), http: &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	serve := s.http.Serve
	if cert != nil {
		s.scheme, s.http.TLSConfig = "https", cert.TLS()
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	go func() {
		defer close(s.done)
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the admin server ended; publishing goes on", "addr", addr, "error", err)
		}
	}()
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is how it is reached from this machine.
func (s *Server) URL() string {
	return s.scheme + "://" + s.Addr()
}

// Close waits for running requests, though not for long, and for the server's end.
func (s *Server) Close() {
	if s == nil {
		return
	}
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}
