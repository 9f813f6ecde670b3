package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/producer"
)

const sourceName = "demo"

// demo is everything that runs.
type demo struct {
	settings
	view     *view
	dir      string // of the stream, the streamer and its log
	database *database
	broker   *broker
	streamer *streamer
	killer   *killer
	reader   *consumer.Consumer
	tally    tally
	begun    time.Time
}

// play runs the demo from nothing to the verdict, and leaves nothing behind.
func play(ctx context.Context, s settings, v *view) (result verdict, err error) {
	d := &demo{settings: s, view: v}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.prepare(ctx); err != nil {
		return result, err
	}
	v.say("%d writers commit %s events to %s at %s per second, binjet streams them to NATS JetStream,\n"+
		"a reader handles them. The streamer is killed (SIGKILL) %s meanwhile.",
		writers, thousands(s.events), d.database.about, thousands(s.rate), times(s.kills))
	if err := d.load(ctx); err != nil {
		return result, err
	}
	v.say("comparing the outbox table, the stream and the reader's table…")
	e, err := collect(ctx, d.database, d.broker.js, &d.tally)
	if err != nil {
		return result, err
	}
	result = judge(e)
	if n := d.killer.kills; n < s.kills {
		result.Faults = append(result.Faults, fmt.Sprintf("the streamer was killed %s under load, and not %s", times(n), times(s.kills)))
	}
	v.say("%s", result.report(len(e.RolledBack)))
	return result, nil
}

// prepare starts the servers, and builds binjet meanwhile.
func (d *demo) prepare(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "binjet-demo-"); err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx) // of which the first failure is the cause
	defer fail(nil)
	var binary string
	var building sync.WaitGroup
	d.view.say("building binjet…")
	building.Go(func() {
		var err error
		if binary, err = buildBinjet(ctx, d.dir); err != nil {
			fail(err)
		}
	})
	if d.dsn == "" {
		d.view.say("starting a throw-away %s server…", d.flavor)
	}
	d.database, err = openDatabase(ctx, d.settings, func(line string) { d.view.say("%s", line) })
	if err != nil {
		fail(err)
	}
	building.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d.broker, err = startBroker(d.dir); err != nil {
		return err
	}
	d.streamer = newStreamer(binary, d.dir, d.database.cfg.FormatDSN(), d.broker.srv.ClientURL())
	d.killer = &killer{streamer: d.streamer, say: d.view.say, want: d.kills, target: d.events}
	return d.streamer.init(ctx)
}

// load runs writers, streamer and reader until all that was committed is handled,
// and stops them one after the other.
func (d *demo) load(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	readCtx, stopReading := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer fail(nil)
	if err := errors.Join(d.streamer.start(), d.startReader(readCtx, &running, fail)); err != nil {
		stopReading()
		return err
	}
	defer stopReading()
	if err := d.startWriters(ctx, &running, fail); err != nil {
		return err
	}
	if err := d.watch(ctx); err != nil {
		return err
	}
	// The streamer first, so that what it might publish late is handled, too.
	if err := d.streamer.stop(patience); err != nil {
		return d.withLog(fmt.Errorf("binjet did not stop cleanly: %w", err))
	}
	return waitHandled(ctx, d.broker.js, readerName)
}

func (d *demo) startReader(ctx context.Context, running *sync.WaitGroup, fail context.CancelCauseFunc) (err error) {
	d.reader, err = newHistory(d.broker.js, d.database.DB, consumer.Config{Prefetch: 200, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	running.Go(func() {
		if err := d.reader.Run(ctx); err != nil {
			fail(fmt.Errorf("reader: %w", err))
		}
	})
	return nil
}

func (d *demo) startWriters(ctx context.Context, running *sync.WaitGroup, fail context.CancelCauseFunc) error {
	outbox, err := producer.New(producer.Config{})
	if err != nil {
		return err
	}
	service := &orderService{db: d.database.DB, outbox: outbox}
	interval := time.Second * writers / time.Duration(d.rate)
	d.begun = time.Now()
	for i := range writers {
		quota := d.events / writers
		if i < d.events%writers {
			quota++
		}
		running.Go(func() {
			if err := write(ctx, service, &d.tally, quota, interval); err != nil {
				fail(err)
			}
		})
	}
	return nil
}

// watch shows what goes on and lets the killer at it, until all is handled or
// nothing has moved for long: the check will say what is missing then.
func (d *demo) watch(ctx context.Context) error {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	var before sample
	moved := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.streamer.done:
			return d.withLog(fmt.Errorf("binjet ended by itself: %w", d.streamer.err))
		case <-tick.C:
		}
		s, err := d.sample(ctx)
		if err != nil {
			return err
		}
		if s.Published != before.Published || s.Handled != before.Handled || s.Epoch != before.Epoch {
			before, moved = s, time.Now()
		}
		stuck := time.Since(moved) > patience
		if s.finished() || stuck {
			d.view.keep(s)
			if stuck {
				d.view.say("nothing has moved for %s; the end of the streamer's log:\n%s", patience, d.streamer.tail())
			}
			return nil
		}
		d.view.show(s)
		if err := d.killer.look(s); err != nil {
			return err
		}
	}
}

// sample measures. What is behind is measured first, so that nothing seems to
// be ahead of what it follows.
func (d *demo) sample(ctx context.Context) (sample, error) {
	s := sample{Target: d.events, Handled: int(d.reader.Stats().Handled), Kills: d.killer.kills, Streamer: d.killer.state()}
	stream, err := d.broker.js.Stream(ctx, binjet.DefaultStream)
	if err != nil {
		return s, fmt.Errorf("look at the stream: %w", err)
	}
	s.Published = int(stream.CachedInfo().State.Msgs)
	last, err := stream.GetLastMsgForSubject(ctx, binjet.CheckpointSubject(sourceName))
	switch {
	case err == nil:
		record, err := checkpoint.Decode(last.Data)
		if err != nil {
			return s, err
		}
		s.Epoch = record.Epoch
		s.Published-- // the checkpoint is a message of the stream, the only one that is no event
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return s, fmt.Errorf("look at the checkpoint: %w", err)
	}
	s.Committed, s.RolledBack = d.tally.counts()
	s.At = time.Since(d.begun)
	return s, nil
}

func (s sample) finished() bool {
	return s.Committed >= s.Target && s.Published >= s.Target && s.Handled >= s.Target
}

// withLog adds the end of the streamer's log to an error that it explains.
func (d *demo) withLog(err error) error {
	return fmt.Errorf("%w\nThe end of its log:\n%s", err, d.streamer.tail())
}

// leftError says what could not be stopped or removed.
type leftError struct{ error }

func (e leftError) Unwrap() error { return e.error }

// close stops what still runs, in the order in which one depends on the other. Its
// error is a [leftError].
func (d *demo) close() error {
	if d.streamer != nil && d.streamer.running() {
		_ = d.streamer.stop(5 * time.Second) // how it ends does not matter any more
	}
	if d.broker != nil {
		d.broker.Close()
	}
	var err error
	if d.database != nil {
		err = d.database.Close()
	}
	if err = errors.Join(err, os.RemoveAll(d.dir)); err != nil {
		return leftError{fmt.Errorf("clean up: %w", err)}
	}
	return nil
}
