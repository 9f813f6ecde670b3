package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
	"github.com/binjet/binjet/cmd/binjet/internal/tracing"
	"github.com/binjet/binjet/internal/tlsfault"
	"github.com/binjet/binjet/relay"
)

func newRun(p process) *cobra.Command {
	var lost, published string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Publish the outbox until stopped",
		Long: `Publish the outbox until SIGTERM or SIGINT. Any number of processes may run for the
same source: one leads, the others stand by and take over when it is silent.

What binjet needs of the source is checked first; binjet check says the same in more words.

SIGHUP reads the configuration again and applies what can change while it runs; binjet
help configuration marks these keys.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadSettings(cmd, p.environ)
			if err != nil {
				return failed(err)
			}
			if cfg.AcceptLoss, err = checkpoint.ParseGTIDSet(lost); err != nil {
				return fmt.Errorf("--accept-loss: %w", err)
			}
			if cfg.PublishedBefore, err = pointInTime(published); err != nil {
				return fmt.Errorf("--published-before: %w", err)
			}
			level := new(slog.LevelVar)
			level.Set(logging.ParseLevel(cfg.Log.Level))
			log := logging.NewLeveled(p.stderr, level, cfg.Log.Format)
			logWarnings(log, cfg)
			defer profiled()()
			fitScheduler(p.environ)
			fitCollector(p.environ, int64(cfg.Source.MaxTransactionBytes))
			reload := newReloader(settingsInput(cmd, p.environ), cfg, level, log)
			err = untilSignal(cmd.Context(), log, func(ctx context.Context) error {
				return reload.during(ctx, func(ctx context.Context) error { return run(ctx, cfg, log, reload.handle) })
			})
			return stopped(log, err)
		},
	}
	addSettings(cmd)
	cmd.Flags().StringVar(&lost, "accept-loss", "", "go on without these purged transactions, once: the exact GTID set that the halt named; their events are lost")
	cmd.Flags().StringVar(&published, "published-before", "", "for a rescan (source.on_gap), once: rows inserted before that time (RFC 3339) were published, though the stream no longer holds them")
	return cmd
}

// pointInTime reads RFC 3339; "" is none.
func pointInTime(s string) (t time.Time, err error) {
	if s == "" {
		return t, nil
	}
	if t, err = time.Parse(time.RFC3339, s); err != nil {
		return t, fmt.Errorf("%q is no point in time such as 2026-01-31T12:00:00Z", s)
	}
	return t, nil
}

// stopped logs how the run ended: the last line of the log says why.
func stopped(log *slog.Logger, err error) error {
	var halted *checkpoint.HaltError
	var preflight *preflightError
	var next *adviceError
	switch {
	case err == nil:
		log.Info("stopped")
		return nil
	case errors.As(err, &halted):
		attrs := []any{"problem", halted.Problem, "next", halted.Hint, "exit_code", exitHalted}
		if halted.Cause != nil {
			attrs = append(attrs, "cause", halted.Cause)
		}
		log.Error("halted: going on would break a promise", attrs...)
	case errors.As(err, &preflight):
		log.Error("the source is not set up for binjet; nothing was changed", "faults", len(preflight.faults), "exit_code", exitCode(failed(err)))
	case errors.As(err, &next):
		log.Error("failed", "error", next.what, "next", next.next, "exit_code", exitCode(failed(err)))
	default:
		log.Error("failed", "error", err, "exit_code", exitCode(failed(err)))
	}
	return toldFailure(err)
}

func run(ctx context.Context, cfg config.Config, log *slog.Logger, reload onReload) error {
	return runAnnounced(ctx, cfg, log, reload, func(string) error { return nil })
}

// runAnnounced calls up with the address of the admin server ("" for none) once all is
// found to be as it should, and the relay begins.
func runAnnounced(ctx context.Context, cfg config.Config, log *slog.Logger, reload onReload, up func(url string) error) error {
	b := currentBuild()
	log.Info("binjet starts", "version", b.Version, "config", cmp.Or(cfg.File, "environment and flags only"), "source", cfg.Source.Name, "database", cfg.Database.Addr, "stream", cfg.Stream.Name)

	watch := newWatch(cfg, b)
	server, err := serveAdmin(cfg, watch, log)
	if err != nil {
		return err
	}
	defer server.Close()

	nc, err := connectNATS(cfg, log, watch)
	if err != nil {
		return err
	}
	defer nc.Close()
	reader, err := newReader(cfg, log, watch.ReaderHooks())
	if err != nil {
		return err
	}
	if err := server.attach(nc, reader); err != nil {
		return err
	}
	if err := preflight(ctx, cfg, reader, position(ctx, cfg, nc), log); err != nil {
		return err
	}
	rc := relayConfig(cfg, nc, reader, log)
	spans, err := tracing.New(ctx, tracing.Config{Endpoint: cfg.Tracing.Endpoint, Share: float64(cfg.Tracing.Sampling), Source: cfg.Source.Name, Version: b.Version, Log: log})
	if err != nil {
		return err
	}
	defer spans.Close()
	reload("tracing.sampling", func(c config.Config) { spans.SetShare(float64(c.Tracing.Sampling)) })
	rc.Hooks = spans.Hooks(server.watched(watch.RelayHooks()))
	r, err := relay.New(rc)
	if err != nil {
		return err
	}
	watch.Attach(r, reader)
	stopSurvey, err := startSurvey(ctx, cfg, nc, reader, watch, log)
	if err != nil {
		return err
	}
	defer stopSurvey()
	stopAnswering, err := startAnswering(cfg, nc, r, watch, log)
	if err != nil {
		return err
	}
	defer stopAnswering()
	stopPruning, err := startPruning(ctx, cfg, nc, watch, reload, log)
	if err != nil {
		return err
	}
	defer stopPruning()
	if err := up(server.URL()); err != nil {
		return err
	}
	return natsError(nc, r.Run(ctx))
}

func newWatch(cfg config.Config, b build) *admin.Watch {
	return admin.NewWatch(cfg.Source.Name, cfg.Relay.Heartbeat, cfg.Relay.CommitTimeout, admin.About{
		Build:  admin.Build{Version: b.Version, Commit: b.Commit, GoVersion: b.Go},
		Stream: cfg.Stream.Name, Tables: cfg.Source.Tables, OnlyLeader: !cfg.HTTP.ReadyStandby,
	})
}

// preflightError is a source that lacks what binjet needs. Each fault was logged.
type preflightError struct{ faults []binlog.Finding }

func (e *preflightError) Error() string {
	return fmt.Sprintf("the source has %d faults", len(e.faults))
}

// position is where the source was read to before; nil where it was not, or the
// broker does not say: then more is asked of the source, and the relay finds out.
func position(ctx context.Context, cfg config.Config, nc *nats.Conn) *checkpoint.Position {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	held, err := store.New(nc, cfg.Stream.Name, cfg.Source.Name).Load(ctx)
	if err != nil {
		return nil
	}
	return &held.Position
}

// checkReader asks the source for what beginning needs, or reading on behind at, and
// for what pruning needs where it is on.
func checkReader(ctx context.Context, cfg config.Config, reader *binlog.Reader, at *checkpoint.Position) (findings []binlog.Finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if at == nil {
		findings, err = reader.Check(ctx)
	} else {
		findings, err = reader.CheckAt(ctx, *at)
	}
	if err != nil || cfg.Retention.Keep == 0 {
		return findings, err
	}
	more, err := reader.CheckPrune(ctx)
	for _, f := range more {
		if !slices.ContainsFunc(findings, func(have binlog.Finding) bool { return have.Name == f.Name }) {
			findings = append(findings, f)
		}
	}
	return findings, err
}

// preflight asks the source for everything that reading needs, and logs what is
// missing with its mend.
func preflight(ctx context.Context, cfg config.Config, reader *binlog.Reader, at *checkpoint.Position, log *slog.Logger) error {
	findings, err := checkReader(ctx, cfg, reader, at)
	if err != nil {
		return sourceError(findings, err)
	}
	var faults []binlog.Finding
	for _, f := range findings {
		switch {
		case f.OK && f.Warning != "":
			log.Warn("source checked", "check", f.Name, "detail", f.Detail, "warning", f.Warning)
			continue
		case f.OK:
			log.Debug("source checked", "check", f.Name, "detail", f.Detail)
			continue
		}
		faults = append(faults, f)
		log.Error("source check failed", "check", f.Name, "detail", f.Detail, "fix", f.Fix)
	}
	if len(faults) > 0 {
		return &preflightError{faults}
	}
	return nil
}

// sourceError words an error of Check: a connection that was refused comes with
// the next step as a finding.
func sourceError(findings []binlog.Finding, err error) error {
	var network *net.OpError
	for _, f := range findings {
		switch {
		case f.OK || f.Name != "connection":
		case tlsfault.Is(err):
			return advise(err, tlsNextStep(err, sourceTLSKeys))
		case errors.As(err, &network):
			return advise(err, nextSourceAddress)
		default:
			return advise(err, f.Fix)
		}
	}
	return err
}
