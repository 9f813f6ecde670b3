package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// delays of one event, by whose clock it does not matter: it is one machine's.
type delays struct{ store, handle, total time.Duration }

// timed is one run of the latency measurement.
type timed struct {
	Way      string
	Replicas int
	Rate     int
	Achieved float64 // transactions a second that the database took
	Events   int
	Lost     int       // committed and not handled, though nothing was killed
	Total    quantiles // commit returned → handler called
	Store    quantiles // commit returned → the broker's time stamp
	Handle   quantiles // that → handler called
	Commit   float64   // seconds that binjet waited for the broker on average, of which Store has a part
}

// quantiles in nanoseconds.
type quantiles struct{ P50, P99, P999, Max time.Duration }

func quantilesOf(list []time.Duration) quantiles {
	if len(list) == 0 {
		return quantiles{}
	}
	s := slices.Sorted(slices.Values(list))
	at := func(q float64) time.Duration { return s[min(len(s)-1, int(q*float64(len(s))))] }
	return quantiles{at(.5), at(.99), at(.999), s[len(s)-1]}
}

func (q quantiles) String() string {
	return millis(q.P50) + " / " + millis(q.P99) + " / " + millis(q.P999) + " / " + millis(q.Max)
}

func latency(ctx context.Context, w *world) error {
	t := &table{Title: "Latency, from commit returned to handler called",
		Head: []string{"p50 ÷ sync publish", "", "tx/s", "p50 / p99 / p99.9 / max ms", "commit → stamped", "stamped → handler", "broker's answer to binjet, mean ms", "one synchronous publish", "the same, sent → handler"},
		Note: "The broker stamps an event before it is stored for good and delivered. Below zero is an event that was stamped before the commit's answer had come back. The synchronous publish is of the same messages at the same rate, by a process that does nothing else; then once more, with the same handler, up to its call."}
	var all []any
	for _, replicas := range w.opts.replicas {
		for _, rate := range w.opts.rates {
			run, raw, handled, err := w.latencyAt(ctx, replicas, rate)
			if err != nil {
				return fmt.Errorf("at %d tx/s with %d replicas: %w", rate, replicas, err)
			}
			all = append(all, run, raw, handled)
			w.say("R%d, %d tx/s: %s ms; sync publish %s ms, to a handler %s ms", replicas, rate, run.Total, raw, handled)
			t.add(ratio(run.Total.P50.Seconds(), raw.P50.Seconds()), fmt.Sprintf("R%d", replicas), fmt.Sprintf("%.0f of %d", run.Achieved, rate),
				run.Total, run.Store, run.Handle, fmt.Sprintf("%.2f", 1000*run.Commit), raw, handled)
		}
	}
	w.report.keep("latency", all, t)
	return nil
}

// latencyAt measures binjet, then synchronous publishing on the same broker.
func (w *world) latencyAt(ctx context.Context, replicas, rate int) (run timed, raw, handled quantiles, err error) {
	nats, err := w.startBroker(ctx, replicas)
	if err != nil {
		return run, raw, handled, err
	}
	defer nats.close()
	if run, err = w.timeBinjet(ctx, nats, rate); err != nil {
		return run, raw, handled, err
	}
	run.Way, run.Replicas, run.Rate = wayBinjet, replicas, rate
	if raw, err = w.timeSync(ctx, nats, rate); err != nil {
		return run, raw, handled, err
	}
	handled, err = w.timeSyncHandled(ctx, nats, rate)
	return run, raw, handled, err
}

func (w *world) timeBinjet(ctx context.Context, nats *broker, rate int) (run timed, err error) {
	b, err := w.newDatabase(ctx, "latency")
	if err != nil {
		return run, err
	}
	if err := w.initStream(ctx, nats, b); err != nil {
		return run, err
	}
	s, err := w.startStreamer(nats, b, b.before)
	if err != nil {
		return run, err
	}
	defer s.stop()
	before, err := s.firstScrape(ctx)
	if err != nil {
		return run, err
	}
	if run, err = w.timeEvents(ctx, nats, b, rate, false, s.child); err != nil {
		return run, err
	}
	after, err := s.scrape(ctx)
	if err != nil {
		return run, err
	}
	grown := func(name string) float64 { return after[name] - before[name] }
	run.Commit = grown("binjet_commit_duration_seconds_sum") / grown("binjet_commit_duration_seconds_count")
	return run, w.drop(ctx, b)
}

// timeEvents lets one process write, another handle, and compares their notes.
func (w *world) timeEvents(ctx context.Context, nats *broker, b *backlog, rate int, watermill bool, by *child) (run timed, err error) {
	rows := int(float64(rate) * w.opts.latencyFor.Seconds())
	handled, written := filepath.Join(w.dir, "handled"), filepath.Join(w.dir, "written")
	h, err := w.startRole("handle", handling{URL: nats.url, Rows: rows, File: handled})
	if err != nil {
		return run, err
	}
	defer h.kill()
	if err := nats.waitForConsumer(ctx, h); err != nil {
		return run, err
	}
	wrote, err := runRole[wrote](ctx, w, "write", writing{DSN: w.srv.DSN(b.db), Rows: rows, Rate: rate, Size: w.opts.sizes[0], File: written, Watermill: watermill})
	if err != nil {
		return run, err
	}
	strict := by.name == binjetName
	if err := w.letHandle(h, by, strict); err != nil {
		return run, err
	}
	if _, err := resultOf[struct{}](ctx, h); err != nil {
		return run, err
	}
	list, lost, err := compare(written, handled, rows)
	if err != nil {
		return run, err
	}
	if strict && lost > 0 {
		return run, fmt.Errorf("of %d events %d were not handled", rows, lost)
	}
	pick := func(of func(delays) time.Duration) quantiles {
		values := make([]time.Duration, len(list))
		for i, d := range list {
			values[i] = of(d)
		}
		return quantilesOf(values)
	}
	return timed{Achieved: float64(rows) / wrote.Took.Seconds(), Events: len(list), Lost: lost, Total: pick(func(d delays) time.Duration { return d.total }),
		Store: pick(func(d delays) time.Duration { return d.store }), Handle: pick(func(d delays) time.Duration { return d.handle })}, nil
}

// letHandle waits until all is handled, of a peer until it may be taken for lost.
func (w *world) letHandle(h, by *child, strict bool) error {
	wait := 3 * w.opts.quiet
	if strict {
		wait = patience
	}
	select {
	case <-h.done:
	case <-by.done:
		return by.failed()
	case <-time.After(wait):
		h.stop() // it then writes down what it has
	}
	return nil
}

func (b *broker) waitForConsumer(ctx context.Context, by *child) error {
	return poll(ctx, time.Minute, "the handler's consumer", func() (bool, error) {
		if by.ended() {
			return false, by.failed()
		}
		c, err := b.js.Consumer(ctx, streamName, handlerName)
		if err != nil {
			return false, nil //nolint:nilerr // it is asked again
		}
		return c.CachedInfo().NumWaiting > 0, nil
	})
}

// compare joins both files by event, less the first tenth of the events, and counts
// those that were not handled.
func compare(written, handled string, rows int) (list []delays, lost int, err error) {
	committed := make([]int64, rows)
	err = eachLine(written, func(line string) error {
		var n int
		var at int64
		if _, err := fmt.Sscan(line, &n, &at); err != nil {
			return err
		}
		committed[n] = at
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	seen := make(map[int]bool, rows)
	err = eachLine(handled, func(line string) error {
		var n int
		var stored, called int64
		if _, err := fmt.Sscan(line, &n, &stored, &called); err != nil {
			return err
		}
		seen[n] = true
		if n >= rows/10 {
			list = append(list, delays{time.Duration(stored - committed[n]), time.Duration(called - stored), time.Duration(called - committed[n])})
		}
		return nil
	})
	return list, rows - len(seen), err
}

func eachLine(file string, do func(line string) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if err := do(lines.Text()); err != nil {
			return fmt.Errorf("%s: %q: %w", file, lines.Text(), err)
		}
	}
	return lines.Err()
}

// timeSync measures one synchronous publish after the other, into a stream like ours.
func (w *world) timeSync(ctx context.Context, nats *broker, rate int) (quantiles, error) {
	if err := w.plainStream(ctx, nats); err != nil {
		return quantiles{}, err
	}
	p, err := runRole[published](ctx, w, "publish", w.syncPublishing(nats, rate, ""))
	if err != nil {
		return quantiles{}, err
	}
	took := make([]time.Duration, 0, len(p.Took))
	for _, ns := range p.Took[len(p.Took)/10:] {
		took = append(took, time.Duration(ns))
	}
	return quantilesOf(took), nil
}

// timeSyncHandled does so once more while somebody handles them, from sending to handler.
func (w *world) timeSyncHandled(ctx context.Context, nats *broker, rate int) (quantiles, error) {
	handled, sent := filepath.Join(w.dir, "handled"), filepath.Join(w.dir, "sent")
	if err := w.plainStream(ctx, nats); err != nil {
		return quantiles{}, err
	}
	rows := w.syncRows(rate)
	h, err := w.startRole("handle", handling{URL: nats.url, Rows: rows, File: handled})
	if err != nil {
		return quantiles{}, err
	}
	defer h.kill()
	if err := nats.waitForConsumer(ctx, h); err != nil {
		return quantiles{}, err
	}
	if _, err := runRole[published](ctx, w, "publish", w.syncPublishing(nats, rate, sent)); err != nil {
		return quantiles{}, err
	}
	if _, err := resultOf[struct{}](ctx, h); err != nil {
		return quantiles{}, err
	}
	list, lost, err := compare(sent, handled, rows)
	if err != nil {
		return quantiles{}, err
	}
	if lost > 0 {
		return quantiles{}, fmt.Errorf("of %d events %d were not handled", rows, lost)
	}
	took := make([]time.Duration, len(list))
	for i, d := range list {
		took[i] = d.total
	}
	return quantilesOf(took), nil
}

// plainStream makes the stream anew, without what binjet needs of one.
func (w *world) plainStream(ctx context.Context, nats *broker) error {
	if err := nats.clear(ctx); err != nil {
		return err
	}
	_, err := nats.js.CreateStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"outbox.>"}, Replicas: len(nats.nodes)})
	return err
}

func (w *world) syncRows(rate int) int {
	return int(float64(rate) * min(w.opts.latencyFor, 4*time.Second).Seconds())
}

func (w *world) syncPublishing(nats *broker, rate int, file string) publishing {
	return publishing{URL: nats.url, How: "sync", Rows: w.syncRows(rate), Size: w.opts.sizes[0], PerTx: 1, Rate: rate, File: file}
}
