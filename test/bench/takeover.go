package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// began is how long beginnings take.
type began struct {
	TakeOver []float64 // seconds from a kill to the next event in the stream
	Snapshot drained
}

// takeover measures what happens before events flow: take-overs and snapshots.
func takeover(ctx context.Context, w *world) error {
	t := &table{Title: "Take-over and start", Head: []string{"", "median", "worst"}, Note: "The heartbeat has its default of one second, and a standby waits for three of them."}
	var found began
	var err error
	if found.TakeOver, err = w.takeOvers(ctx); err != nil {
		return err
	}
	if found.Snapshot, err = w.snapshotRate(ctx); err != nil {
		return err
	}
	worst := 0.0
	for _, s := range found.TakeOver {
		worst = max(worst, s)
	}
	t.add(fmt.Sprintf("kill -9 of the leader to the next event, %d times, s", len(found.TakeOver)), fmt.Sprintf("%.2f", median(found.TakeOver)), fmt.Sprintf("%.2f", worst))
	t.add("start of a process to the first event of a snapshot, s", fmt.Sprintf("%.2f", found.Snapshot.Start), "")
	t.add("snapshot, events/s", thousands(found.Snapshot.Rate), "")
	w.report.keep("takeover", found, t)
	return nil
}

// takeOverRate is the load meanwhile, in transactions a second.
const takeOverRate = 200

func (w *world) takeOvers(ctx context.Context) (list []float64, err error) {
	b, err := w.newDatabase(ctx, "takeover")
	if err != nil {
		return nil, err
	}
	nats, err := w.startBroker(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer nats.close()
	if err := w.initStream(ctx, nats, b); err != nil {
		return nil, err
	}
	leader, err := w.startStreamer(nats, b, b.before)
	if err != nil {
		return nil, err
	}
	defer func() { leader.kill() }()
	load, err := w.startRole("write", writing{DSN: w.srv.DSN(b.db), Rows: takeOverRate * 20 * w.opts.takeOvers, Rate: takeOverRate, Size: hugeSize, File: filepath.Join(w.dir, "written")})
	if err != nil {
		return nil, err
	}
	defer load.kill()
	if err := nats.waitFor(ctx, 100, leader.child); err != nil {
		return nil, err
	}
	for range w.opts.takeOvers {
		next, took, err := w.takeOver(ctx, nats, b, leader)
		if err != nil {
			return nil, err
		}
		leader = next
		w.say("killed, %.2f s to the next event", took.Seconds())
		list = append(list, took.Seconds())
	}
	leader.kill()
	load.kill()
	return list, w.drop(ctx, b)
}

// takeOver kills the leader beside a standby, which it returns.
func (w *world) takeOver(ctx context.Context, nats *broker, b *backlog, leader *streamer) (*streamer, time.Duration, error) {
	standby, err := w.startStreamer(nats, b, b.before)
	if err != nil {
		return leader, 0, err
	}
	if _, err := standby.firstScrape(ctx); err != nil {
		return standby, 0, err
	}
	// It has to have seen a heartbeat to know when they cease.
	err = poll(ctx, time.Minute, "the standby to stand by", func() (bool, error) {
		m, err := standby.scrape(ctx)
		return err == nil && m["binjet_checkpoint_sequence"] > 0, err
	})
	if err != nil {
		return standby, 0, err
	}
	killed := time.Now()
	leader.kill()
	took, err := nats.nextEvent(ctx, killed)
	return standby, took, err
}

// silence is a pause between events that only a change of the leader explains: the
// last ones of a leader that was killed are stored after its death.
const silence = 100 * time.Millisecond

// nextEvent is when the first event behind the silence that begins about then was stored.
func (b *broker) nextEvent(ctx context.Context, then time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("nobody took over"))
	defer cancel()
	c, err := b.js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &then})
	if err != nil {
		return 0, err
	}
	messages, err := c.Messages()
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for last := then; ; {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return 0, errors.Join(err, context.Cause(ctx))
		}
		meta, err := msg.Metadata()
		if err != nil {
			return 0, err
		}
		if meta.Timestamp.Sub(last) > silence {
			return meta.Timestamp.Sub(then), nil
		}
		last = meta.Timestamp
	}
}

// snapshotRate drains a table by a snapshot in place of the binlog.
func (w *world) snapshotRate(ctx context.Context) (d drained, err error) {
	b, err := w.newBacklog(ctx, "snapshot", w.opts.snapshotRows, hugeSize, min(100, w.opts.snapshotRows), 4)
	if err != nil {
		return d, err
	}
	nats, err := w.startBroker(ctx, 1)
	if err != nil {
		return d, err
	}
	defer nats.close()
	if err := w.initStream(ctx, nats, b); err != nil {
		return d, err
	}
	if d, err = w.drainBinjet(ctx, nats, b, "snapshot"); err != nil {
		return d, err
	}
	d.Way, d.Variant = wayBinjet, fmt.Sprintf("snapshot of %d rows", b.rows)
	w.say("%s: %s/s", d.Variant, thousands(d.Rate))
	return d, w.drop(ctx, b)
}
