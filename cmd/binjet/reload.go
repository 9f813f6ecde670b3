package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
)

// reloader reads the configuration again on SIGHUP and applies what may change.
type reloader struct {
	in  config.Input
	log *slog.Logger

	mu    sync.Mutex
	cfg   config.Config
	apply map[string]func(config.Config) // by key
}

// onReload has apply called with the configuration when a key has changed that is
// marked reload, and at once, since it may have changed before that part began. It must
// not block.
type onReload func(key string, apply func(config.Config))

// neverReload is for a process that does not.
func neverReload(string, func(config.Config)) {}

// newReloader changes level; other parts of the process call handle.
func newReloader(in config.Input, cfg config.Config, level *slog.LevelVar, log *slog.Logger) *reloader {
	r := &reloader{in: in, cfg: cfg, log: log, apply: make(map[string]func(config.Config))}
	r.handle("log.level", func(c config.Config) { level.Set(logging.ParseLevel(c.Log.Level)) })
	return r
}

// handle is an [onReload]. It may be called concurrently.
func (r *reloader) handle(key string, apply func(config.Config)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apply[key] = apply
	apply(r.cfg)
}

// during does work, and reloads on each SIGHUP until it ends.
func (r *reloader) during(ctx context.Context, work func(context.Context) error) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	return r.on(ctx, hangups, work)
}

func (r *reloader) on(ctx context.Context, hangups <-chan os.Signal, work func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-hangups:
			r.reload()
		}
	}
}

// reload says what it did with each key that has changed. A configuration with
// faults changes nothing: the process goes on as it was.
func (r *reloader) reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, applied, pending, err := config.Reload(r.cfg, r.in)
	if err != nil {
		r.refused(err)
		return
	}
	r.log.Debug("configuration read again", "file", now.File, "changed", len(applied)+len(pending))
	r.cfg = now
	for _, c := range applied {
		if apply, ok := r.apply[c.Key.Name]; ok {
			apply(now)
			r.log.Info("a key has changed", "key", c.Key.Name, "old", c.Old, "new", c.New)
		} else {
			r.log.Info("a key has changed that nothing here uses yet", "key", c.Key.Name, "old", c.Old, "new", c.New)
		}
	}
	for _, c := range pending {
		r.log.Warn("a key has changed that needs a restart", "key", c.Key.Name, "running", c.Old, "configured", c.New)
	}
	r.log.Info("configuration reloaded", "file", cmp.Or(r.cfg.File, "none"), "applied", len(applied), "need_restart", len(pending))
}

func (r *reloader) refused(err error) {
	var faulty *config.Error
	if !errors.As(err, &faulty) {
		r.log.Error("the configuration was not reloaded; nothing has changed", "error", err)
		return
	}
	for _, f := range faulty.Faults {
		r.log.Error("the configuration was not reloaded; nothing has changed", "fault", f.String(), "next", "mend it and send SIGHUP again; binjet config validate says the same")
	}
}
