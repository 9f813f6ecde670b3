package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/dashboard"
	"github.com/binjet/binjet/relay"
)

// adminServer is the admin server with the dashboard on it. A nil one does nothing.
type adminServer struct {
	server  *admin.Server
	page    *dashboard.Dashboard
	history *dashboard.History
	stop    context.CancelFunc
	running sync.WaitGroup
}

// serveAdmin serves http.listen until Close; nobody is served where that is empty.
func serveAdmin(cfg config.Config, watch *admin.Watch, log *slog.Logger) (*adminServer, error) {
	if cfg.HTTP.Listen == "" {
		return nil, nil
	}
	cert, err := adminCertificate(cfg, log)
	if err != nil {
		return nil, err
	}
	guard := admin.NewGuard(cfg.HTTP.Listen, adminToken(cfg.Admin, log), cert != nil)
	s := &adminServer{history: dashboard.NewHistory(watch)}
	s.page, err = dashboard.New(dashboard.Config{
		Relay: watch, History: s.history, Gate: guard, Log: log, Source: cfg.Source.Name, Stream: cfg.Stream.Name,
		Prefix: cfg.Stream.SubjectPrefix, Version: currentBuild().Version,
	})
	if err != nil {
		return nil, err
	}
	s.server, err = admin.Listen(cfg.HTTP.Listen, cert, watch.Handler(guard.Protect(s.page.Handler())), log)
	if err != nil {
		return nil, advise(fmt.Errorf("can't serve http.listen: %w", err), "free the address, choose another one, or set http.listen to \"\"")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.running.Go(func() { s.history.Run(ctx) })
	s.announce(cfg, guard, log)
	return s, nil
}

// adminToken is the token as of now: what stands in a file is read again, and the one
// before stays while the file can't be read.
func adminToken(from config.Admin, log *slog.Logger) func() string {
	var mu sync.Mutex
	last, said := from.Token, ""
	return func() string {
		if from.TokenFile == "" {
			return string(from.Token)
		}
		mu.Lock()
		defer mu.Unlock()
		token, err := config.ReadSecret(from.TokenFile)
		if err == nil && len(token) < config.MinToken {
			err = fmt.Errorf("holds a token that is shorter than %d characters", config.MinToken)
		}
		switch {
		case err == nil:
			last, said = token, ""
		case err.Error() != said:
			said = err.Error()
			log.Warn("the dashboard's token stays as it was: http.token_file "+said, "next", "write the whole token into the file")
		}
		return string(last)
	}
}

func adminCertificate(cfg config.Config, log *slog.Logger) (*admin.Certificate, error) {
	if cfg.HTTP.TLS.Cert == "" {
		return nil, nil
	}
	return admin.LoadCertificate(cfg.HTTP.TLS.Cert, cfg.HTTP.TLS.Key, log)
}

// announce says where it is served, and what of it is not as it should be.
func (s *adminServer) announce(cfg config.Config, guard *admin.Guard, log *slog.Logger) {
	switch why := guard.Closed(); {
	case why != "":
		log.Warn("serving /healthz, /readyz and /metrics, and no dashboard", "url", s.server.URL(), "why", why)
		return
	case cfg.HTTP.TLS.Cert == "" && !guard.Loopback():
		log.Warn("the dashboard's token is sent without TLS", "next", "set http.tls.cert and http.tls.key, unless something before it does TLS")
	}
	log.Info("serving /healthz, /readyz, /metrics and the dashboard", "url", s.server.URL())
}

// URL is where it is served; "" for nowhere.
func (s *adminServer) URL() string {
	if s == nil {
		return ""
	}
	return s.server.URL()
}

// attach gives the page whom to ask.
func (s *adminServer) attach(nc *nats.Conn, source dashboard.Surveyor) error {
	if s == nil {
		return nil
	}
	s.page.AttachSource(source)
	return s.page.Attach(nc)
}

// watched adds the page's history to the hooks of the relay.
func (s *adminServer) watched(hooks relay.Hooks) relay.Hooks {
	if s == nil {
		return hooks
	}
	committed := hooks.Committed
	hooks.Committed = func(c relay.Commit) {
		committed(c)
		s.history.Committed(c)
	}
	return hooks
}

// Close ends it, and waits for that.
func (s *adminServer) Close() {
	if s == nil {
		return
	}
	s.server.Close()
	s.stop()
	s.running.Wait()
}
