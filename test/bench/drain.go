package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// drained is one drain of a backlog.
type drained struct {
	Way, Variant string
	Rate         float64            // events a second, of the last nine tenths, by the broker's clock
	CPU          float64            // µs of what publishes or reads, for each event
	BrokerCPU    float64            // the same of all NATS servers
	Start        float64            // seconds from starting the process to its first event
	Peak         float64            // bytes
	GC           float64            // share of its processor time
	Mallocs      float64            // allocations for each event
	Batch        float64            // events of a batch
	Stored       float64            // bytes of an event in the stream
	Stages       map[string]float64 `json:",omitempty"` // µs for each event, with -profile
}

// ways to drain, in the order of their turns.
const (
	wayBinjet = "binjet run"
	wayAsync  = "PublishAsync"
	wayBatch  = "atomic batches of 999"
	wayRead   = "go-mysql, reading only"
)

func drain(ctx context.Context, w *world) error {
	speed := &table{Title: "Drain of a backlog", Head: []string{"÷ fastest raw", "÷ PublishAsync", "÷ batches", "÷ reading", "variant", "binjet events/s", "PublishAsync", "batches", "go-mysql"},
		Note: "Events a second of the last nine tenths of each backlog, medians of the turns."}
	cost := &table{Title: "What a drain costs", Head: []string{"variant", "", "CPU µs/event", "broker CPU µs/event", "peak RSS MB", "GC share", "allocations/event", "events/batch", "first event after s"},
		Note: "The GC share is by the runtime's own account, which takes waiting for a processor for work: believe it on an idle machine only. Allocations are those of the whole process, go-mysql's decoding and nats.go among them."}
	if w.opts.apart {
		for _, t := range []*table{speed, cost} {
			t.Title += ", the broker on processors of its own"
		}
	}
	var all []drained
	for _, replicas := range w.opts.replicas {
		for _, size := range w.opts.sizes {
			for _, per := range w.opts.perTx {
				v := variant{replicas, size, per}
				list, err := w.drainVariant(ctx, v)
				if err != nil {
					return fmt.Errorf("%s: %w", v, err)
				}
				all = append(all, list...)
				addDrain(speed, cost, v, list)
			}
		}
	}
	w.report.keep("drain", all, speed, cost)
	addStages(w, all)
	return nil
}

type variant struct{ replicas, size, perTx int }

func (v variant) String() string {
	return fmt.Sprintf("R%d, %d B, %d per tx", v.replicas, v.size, v.perTx)
}

// drainVariant gives every way its turn, again and again.
func (w *world) drainVariant(ctx context.Context, v variant) (list []drained, err error) {
	b, err := w.newBacklog(ctx, "drain", w.opts.rows, v.size, v.perTx, 4)
	if err != nil {
		return nil, err
	}
	nats, err := w.startBroker(ctx, v.replicas)
	if err != nil {
		return nil, err
	}
	defer nats.close()
	if err := w.warmUp(ctx, nats, b, v); err != nil {
		return nil, err
	}
	for round := range w.opts.rounds {
		for _, way := range turns(round) {
			d, err := w.drainBy(ctx, nats, b, way, v)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			d.Way, d.Variant = way, v.String()
			w.say("%s, turn %d of %d: %s %s/s", v, round+1, w.opts.rounds, way, thousands(d.Rate))
			list = append(list, d)
		}
	}
	return list, w.drop(ctx, b)
}

// turns is the order of a round: back and forth, since a turn may leave something to the next.
func turns(round int) []string {
	list := []string{wayBinjet, wayAsync, wayBatch, wayRead}
	if round%2 == 1 {
		slices.Reverse(list)
	}
	return list
}

// warmUp publishes it all twice before anything counts: whoever comes first on a new broker
// also pays for the memory and the pages of files that all later ones use again. That was
// half of the broker's work, and of three brokers the second turn still paid most of it.
func (w *world) warmUp(ctx context.Context, nats *broker, b *backlog, v variant) error {
	for _, way := range []string{wayBatch, wayBinjet} {
		if _, err := w.drainBy(ctx, nats, b, way, v); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) drainBy(ctx context.Context, nats *broker, b *backlog, way string, v variant) (drained, error) {
	if way == wayRead {
		return w.drainRead(ctx, b)
	}
	if err := w.initStream(ctx, nats, b); err != nil {
		return drained{}, err
	}
	if way == wayBinjet {
		return w.drainBinjet(ctx, nats, b, b.before)
	}
	how := "async"
	if way == wayBatch {
		how = "batch"
	}
	return w.drainRaw(ctx, nats, b, publishing{URL: nats.url, How: how, Rows: b.rows, Size: v.size, PerTx: v.perTx})
}

func (w *world) drainRead(ctx context.Context, b *backlog) (drained, error) {
	r, err := runRole[read](ctx, w, "read", reading{Addr: w.srv.Addr(), Flavor: w.opts.server, Before: b.before, Outbox: b.db, Rows: b.rows})
	if err != nil {
		return drained{}, err
	}
	n := float64(r.Rows)
	return drained{Rate: n / r.Took.Seconds(), CPU: micros(r.CPU) / n}, nil
}

func (w *world) drainRaw(ctx context.Context, nats *broker, b *backlog, p publishing) (d drained, err error) {
	before := cpuOfAll(nats.pids()...)
	began := time.Now()
	c, err := w.startRole("publish", p)
	if err != nil {
		return d, err
	}
	if _, err := resultOf[published](ctx, c); err != nil {
		return d, err
	}
	if d, err = nats.drained(ctx, b.rows, 0, began); err != nil {
		return d, err
	}
	n := float64(b.rows)
	d.BrokerCPU = micros(cpuOfAll(nats.pids()...)-before) / n
	state := c.cmd.ProcessState
	d.CPU = micros(state.UserTime()+state.SystemTime()) / n
	return d, nil
}

// drainBinjet runs the command until all is in the stream.
func (w *world) drainBinjet(ctx context.Context, nats *broker, b *backlog, start string) (d drained, err error) {
	before := cpuOfAll(nats.pids()...)
	began := time.Now()
	s, err := w.startStreamer(nats, b, start)
	if err != nil {
		return d, err
	}
	defer s.stop()
	first, err := s.firstScrape(ctx)
	if err != nil {
		return d, err
	}
	if err := nats.waitFor(ctx, b.rows+1, s.child); err != nil {
		return d, err
	}
	last, err := s.scrape(ctx)
	if err != nil {
		return d, err
	}
	if d, err = nats.drained(ctx, b.rows, 1, began); err != nil {
		return d, err
	}
	cpu, err := cpuOf(s.pid())
	if err != nil {
		return d, err
	}
	peak, err := peakOf(s.pid())
	if err != nil {
		return d, err
	}
	gc, err := s.gcTime()
	n := float64(b.rows)
	d.CPU, d.BrokerCPU, d.Peak = micros(cpu)/n, micros(cpuOfAll(nats.pids()...)-before)/n, float64(peak)
	d.GC, d.Mallocs = gc.Seconds()/cpu.Seconds(), (last["go_memstats_mallocs_total"]-first["go_memstats_mallocs_total"])/n
	d.Batch = last["binjet_batch_events_sum"] / last["binjet_batch_events_count"]
	if err != nil || s.profile == "" {
		return d, err
	}
	s.stop() // which writes it
	sums, err := stagesOf(ctx, s.profile)
	d.Stages = make(map[string]float64)
	for name, sum := range sums {
		d.Stages[name] = micros(sum) / n
	}
	return d, err
}

// waitFor waits until the stream has so many messages, for as long as there are more of them.
func (b *broker) waitFor(ctx context.Context, messages int, by *child) error {
	s, err := b.js.Stream(ctx, streamName)
	if err != nil {
		return err
	}
	var most uint64
	moved := time.Now()
	return poll(ctx, time.Hour, "the backlog", func() (bool, error) {
		info, err := s.Info(ctx)
		switch {
		case by != nil && by.ended():
			return false, by.failed()
		case err == nil && info.State.Msgs > most:
			most, moved = info.State.Msgs, time.Now()
		case time.Since(moved) > patience:
			return false, fmt.Errorf("%w: %d messages of %d", errStuck, most, messages)
		}
		return most >= uint64(messages), nil
	})
}

// drained looks at when the broker stored what. Of other messages than events the
// stream keeps others; what it kept no longer lies between the events evenly.
func (b *broker) drained(ctx context.Context, rows, others int, began time.Time) (d drained, err error) {
	s, err := b.js.Stream(ctx, streamName)
	if err != nil {
		return d, err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return d, err
	}
	if want := uint64(rows + others); info.State.Msgs != want {
		return d, fmt.Errorf("the stream has %d messages, not %d", info.State.Msgs, want)
	}
	event := func(seq uint64) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
	}
	first, err := event(1)
	if err != nil {
		return d, err
	}
	from, err := event(info.State.LastSeq / 10)
	if err != nil {
		return d, err
	}
	last, err := s.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return d, err
	}
	share := float64(rows) / float64(last.Sequence-first.Sequence+1)
	d.Rate = float64(last.Sequence-from.Sequence) * share / between(from.Time, last.Time)
	d.Start = first.Time.Sub(began).Seconds()
	d.Stored = float64(info.State.Bytes) / float64(rows)
	return d, nil
}

// between is in seconds, and never nothing: a batch is stamped at once.
func between(from, to time.Time) float64 { return max(to.Sub(from), time.Microsecond).Seconds() }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func addDrain(speed, cost *table, v variant, list []drained) {
	pick := func(way string, of func(drained) float64) float64 {
		var values []float64
		for _, d := range list {
			if d.Way == way {
				values = append(values, of(d))
			}
		}
		return median(values)
	}
	rate := func(way string) float64 { return pick(way, func(d drained) float64 { return d.Rate }) }
	binjet, async, batch, reading := rate(wayBinjet), rate(wayAsync), rate(wayBatch), rate(wayRead)
	speed.add(ratio(binjet, max(async, batch)), ratio(binjet, async), ratio(binjet, batch), ratio(binjet, reading), v,
		thousands(binjet), thousands(async), thousands(batch), thousands(reading))
	for _, way := range []string{wayBinjet, wayAsync, wayBatch, wayRead} {
		cells := []any{v, way, fmt.Sprintf("%.1f", pick(way, func(d drained) float64 { return d.CPU })), fmt.Sprintf("%.1f", pick(way, func(d drained) float64 { return d.BrokerCPU }))}
		if way != wayBinjet {
			cost.add(append(cells, "", "", "", "", "")...)
			continue
		}
		cost.add(append(cells, megabytes(pick(way, func(d drained) float64 { return d.Peak })),
			fmt.Sprintf("%.0f %%", 100*pick(way, func(d drained) float64 { return d.GC })),
			fmt.Sprintf("%.1f", pick(way, func(d drained) float64 { return d.Mallocs })),
			thousands(pick(way, func(d drained) float64 { return d.Batch })),
			fmt.Sprintf("%.2f", pick(way, func(d drained) float64 { return d.Start })))...)
	}
}
