package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopTimeout bounds a clean stop. Kubernetes kills 30 s after SIGTERM.
const stopTimeout = 15 * time.Second

// untilSignal does work until it ends, or SIGTERM or SIGINT ends its context.
// The process waits for a clean stop, but not for ever, and not once it is asked
// a second time.
func untilSignal(ctx context.Context, log *slog.Logger, work func(context.Context) error) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	return stopOn(ctx, signals, stopTimeout, log, work)
}

func stopOn(ctx context.Context, signals <-chan os.Signal, limit time.Duration, log *slog.Logger, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	select {
	case err := <-done:
		return err
	case s := <-signals:
		log.Info("stopping; a second signal stops at once", "signal", s.String())
		cancel()
	}
	select {
	case err := <-done:
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	case <-signals:
		return errors.New("stopped by a second signal before the checkpoint was released: a standby takes over after three heartbeats")
	case <-time.After(limit):
		return errors.New("could not stop cleanly within " + limit.String() + ": a standby takes over after three heartbeats")
	}
}
