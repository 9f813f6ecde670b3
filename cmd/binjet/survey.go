package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/internal/deadletter"
)

// startSurvey asks both sides for what only the metrics want, until the returned
// function is called.
func startSurvey(ctx context.Context, cfg config.Config, nc *nats.Conn, reader *binlog.Reader, watch *admin.Watch, log *slog.Logger) (stop func(), err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	s := &admin.Surveyor{Watch: watch, Binlogs: reader, Log: log, DeadLetters: func(ctx context.Context) (map[string]uint64, error) {
		return countDeadLetters(ctx, js, cfg.Stream.Name, cfg.Source.Name)
	}}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	return func() { cancel(); wg.Wait() }, nil
}

// countDeadLetters counts the dead letters of a stream by whose they are. The source's
// own are there also when it has none, so that their first one is seen as a change.
func countDeadLetters(ctx context.Context, js jetstream.JetStream, stream, source string) (map[string]uint64, error) {
	counts := map[string]uint64{source: 0}
	s, err := js.Stream(ctx, deadletter.Stream(stream))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return counts, nil
	}
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = s.Info(ctx, jetstream.WithSubjectFilter(">"))
	}
	if err != nil {
		return nil, fmt.Errorf("count the messages of stream %s: %w", deadletter.Stream(stream), err)
	}
	for subject, n := range info.State.Subjects {
		if !deadletter.IsReplay(stream, subject) { // else it is on its way back
			name, _ := deadletter.Parts(stream, subject)
			counts[name] += n
		}
	}
	return counts, nil
}
