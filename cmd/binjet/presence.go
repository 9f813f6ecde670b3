package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/presence"
	"github.com/binjet/binjet/relay"
)

// startAnswering lets binjet status see this process, until stop.
func startAnswering(cfg config.Config, nc *nats.Conn, r *relay.Relay, watch *admin.Watch, log *slog.Logger) (stop func(), err error) {
	cfg.Source.ServerID = 0 // the relay's reader has it
	reader, err := newReader(cfg, slog.New(slog.DiscardHandler), binlog.Hooks{})
	if err != nil {
		return nil, err
	}
	return presence.Answer(presence.Config{
		Conn: nc, Subject: presence.Subject(cfg.Stream.Name, cfg.Source.Name), Log: log,
		Process: func() presence.Process { return describe(r) },
		Look: func(ctx context.Context) error {
			s := r.Status()
			if s.Role == relay.Leader {
				return watch.Source()
			}
			return couldRead(ctx, cfg, reader, s)
		},
	})
}

func describe(r *relay.Relay) presence.Process {
	s := r.Status()
	p := presence.Process{Instance: r.Instance(), Version: currentBuild().Version, Role: s.Role, Since: s.Since.UTC(), Trouble: s.Trouble}
	if s.Role != relay.Leader && s.Seq > 0 && !s.Checkpoint.Released {
		p.WaitsFor = s.Leader
	}
	return p
}

// couldRead does what a take-over does first: it asks the source whether reading can go
// on from the checkpoint that was seen last. It changes nothing.
func couldRead(ctx context.Context, cfg config.Config, reader *binlog.Reader, s relay.Status) error {
	if s.Seq > 0 {
		return reader.Verify(ctx, s.Checkpoint.Position)
	}
	findings, err := checkReader(ctx, cfg, reader, nil)
	if err != nil {
		return err
	}
	for _, f := range findings {
		if !f.OK {
			return fmt.Errorf("%s: %s; next: %s", f.Name, f.Detail, f.Fix)
		}
	}
	return nil
}
