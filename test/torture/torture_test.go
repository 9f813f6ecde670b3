package torture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestTorture: faults of every kind under load of every shape, and then every
// promise is looked at. Without flags it is a short run of what differs most.
func TestTorture(t *testing.T) {
	type run struct {
		flavor dbserver.Flavor
		nodes  int
	}
	runs := []run{{dbserver.MySQL, 3}, {dbserver.MariaDB, 1}}
	if *all {
		runs = append(runs, run{dbserver.MySQL, 1}, run{dbserver.MariaDB, 3})
	}
	for _, r := range runs {
		t.Run(fmt.Sprintf("%s and %d NATS", r.flavor, r.nodes), func(t *testing.T) {
			w := newWorld(t, setting{flavor: r.flavor, nodes: r.nodes, streamer: streamer, wide: *all})
			if err := w.torture(trial{duration: *duration, seed: *seed, patience: time.Minute}); err != nil {
				t.Fatalf("seed %d: %v\nviolation.txt, the history and the logs are in %s", *seed, err, w.dir)
			}
		})
	}
}

// trial is how a world is tortured.
type trial struct {
	duration, patience time.Duration // of the faults; and without an event or an effect behind them
	seed               uint64
	drill              bool // kills and stops of streamers and handlers only, one after the other
}

// torture runs load and faults, and returns the first promise that was broken.
func (w *world) torture(tr trial) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), tr.duration)
	defer cancel()
	watchCtx, stopWatching := context.WithCancel(w.t.Context())
	defer stopWatching()
	var seen *observed
	var wg sync.WaitGroup
	wg.Go(func() { seen = w.watch(watchCtx) })

	l := startLoad(w.db.DB, tr.seed, 6, []string{"outbox", "outbox", "outbox_hole"}, w.sessions())
	defer l.halt()
	wg.Go(func() { w.holdBack(watchCtx, l, tr.mostBehind()) })
	n := &nemesis{w: w, rng: rand.New(rand.NewPCG(tr.seed, 99)), done: map[string]int{}}
	if *faults != "" {
		n.only = regexp.MustCompile(*faults)
	}
	run := n.run
	if tr.drill {
		run = n.drill
	}
	broken := run(ctx)
	history := l.halt()
	if broken == nil {
		broken = w.atRest(tr)
	}
	stopWatching()
	wg.Wait()
	truth, err := w.committedEvents() // with what was written since, such as effects
	if err != nil {
		return errors.Join(broken, err)
	}
	r := result{history: history, written: l.contents.list, truth: truth, seen: seen}
	if err := w.judge(r, broken); err != nil {
		e := evidence{trial: tr, broken: err, history: history, checkpoints: seen.checkpoints, faults: w.faults}
		return errors.Join(err, e.write(w.dir))
	}
	w.report(r, n.done)
	return nil
}

// result is what a run leaves.
type result struct {
	history []record
	written map[string]content
	truth   *printed
	seen    *observed
}

// atRest waits until all is done, once nothing is done to anybody any more. How much that
// is may change once: what was put aside may be published after all.
func (w *world) atRest(tr trial) (broken error) {
	if err := w.decide(rand.New(rand.NewPCG(tr.seed, 100))); err != nil {
		return err
	}
	truth, err := w.committedEvents()
	if err != nil {
		return err
	}
	for before := -1; ; {
		want, err := w.expected(truth.committed)
		if err != nil || want == before {
			return errors.Join(broken, err)
		}
		before, broken = want, w.arrive(uint64(want), tr.patience)
	}
}

// expected is how many events have to be in the stream, by what is put aside until now.
func (w *world) expected(committed []string) (int, error) {
	letters, err := w.putAside()
	if err != nil || len(letters) == 0 {
		return len(committed), err
	}
	events, err := w.published()
	return len(committed) - len(missing(letters, events)), err
}

// mostBehind is how many events the handlers may be behind the writers: as many as they do
// in a while on a slow disk, so that a run ends soon after its faults.
func (tr trial) mostBehind() int64 { return max(300, min(4000, int64(tr.duration/time.Second)*40)) }

// holdBack has the writers wait while the handlers are further behind.
func (w *world) holdBack(ctx context.Context, l *load, mostBehind int64) {
	for ; ctx.Err() == nil; wait(ctx, 200*time.Millisecond) {
		var effects int64
		if err := w.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM handled.effects").Scan(&effects); err == nil {
			l.waiting.Store(l.written.Load()-effects > mostBehind)
		}
	}
}

// glance looks at what is published so far, while the load goes on.
func (w *world) glance() error {
	events, err := w.published()
	if err != nil {
		return nil // there may be none yet
	}
	letters, err := w.putAside()
	if err != nil {
		return nil
	}
	truth, err := w.committedEvents()
	if err != nil {
		return err
	}
	truth.leaveOut(missing(letters, events))
	return prefix(events, truth.committed)
}

// sessions are what a transaction's session may be set to.
func (w *world) sessions() []string {
	if w.db.flavor() == dbserver.MariaDB { // where it is the server's, not the session's
		return []string{"SET GLOBAL log_bin_compress=OFF", "SET GLOBAL log_bin_compress=ON"}
	}
	return []string{"SET SESSION binlog_transaction_compression=OFF", "SET SESSION binlog_transaction_compression=ON",
		"SET SESSION gtid_next='AUTOMATIC'", "SET SESSION gtid_next='AUTOMATIC:web'"}
}

// decide ends the XA transactions that nobody decided.
func (w *world) decide(rng *rand.Rand) error {
	return w.until("the end of all XA transactions", time.Minute, func() bool {
		rows, err := w.db.QueryContext(w.t.Context(), "XA RECOVER")
		if err != nil {
			return false
		}
		var xids []string
		for rows.Next() {
			var format, a, b int
			var data string
			if rows.Scan(&format, &a, &b, &data) == nil {
				xids = append(xids, data)
			}
		}
		_ = rows.Close()
		for _, xid := range xids {
			end := "XA COMMIT"
			if rng.IntN(2) == 0 {
				end = "XA ROLLBACK"
			}
			_, _ = w.db.ExecContext(w.t.Context(), fmt.Sprintf("%s '%s'", end, xid))
		}
		return len(xids) == 0
	})
}

// arrive waits for n events and effects, for as long as there are more of them.
func (w *world) arrive(n uint64, patience time.Duration) error {
	for events, effects := uint64(0), uint64(0); ; {
		more := w.until(fmt.Sprintf("more than %d events and %d effects of %d", events, effects, n), patience, func() bool {
			nowEvents, nowEffects := w.counts()
			grown := nowEvents > events || nowEffects > effects
			events, effects = max(events, nowEvents), max(effects, nowEffects)
			return grown || effects >= n
		})
		if more != nil || events >= n && effects >= n {
			return more
		}
	}
}

// counts are the events of the newest checkpoint, and the effects; 0 while they can't
// be asked for.
func (w *world) counts() (events, effects uint64) {
	if c, err := w.checkpoint(); err == nil {
		events = c.Count
	}
	_ = w.db.QueryRowContext(w.t.Context(), "SELECT COUNT(*) FROM handled.effects").Scan(&effects)
	return events, effects
}

// judge looks at every promise; the stream itself first, since it says the most. What
// was broken before that may be why not everything is there.
func (w *world) judge(r result, before error) error {
	events, err := w.published()
	if err != nil {
		return errors.Join(before, err)
	}
	letters, err := w.putAside()
	if err != nil {
		return errors.Join(before, err)
	}
	complete := same
	if before != nil {
		complete = prefix
	}
	outcomes := outcomesHold(r.history, r.truth.committed)
	r.truth.leaveOut(missing(letters, events))
	for _, err := range []error{
		outcomes,
		asideHold(letters, w.low),
		complete(events, r.truth.committed),
		contentsHold(events, r.written),
		wholeTransactions(events),
		checkpointsHold(r.seen.checkpoints, events),
		positionsHold(r.seen.checkpoints, r.truth.groups, events),
	} {
		if err != nil {
			return errors.Join(err, before)
		}
	}
	effects, err := w.effects()
	if err != nil {
		return err
	}
	for _, err := range []error{effectsOnce(effects, events), before, r.seen.bounded(), w.wire.holds()} {
		if err != nil {
			return err
		}
	}
	return w.stop()
}

// stop ends all that is tested, as an operator does. A streamer that gave up at its start,
// when the last fault was just over, is started again first, as always.
func (w *world) stop() error {
	running := func(p *process) bool {
		_, ended := p.ended()
		return !ended && strings.Contains(p.said(), "NATS is connected")
	}
	err := w.until("every streamer to run", time.Minute, func() bool {
		return !slices.ContainsFunc(w.streamers, func(p *process) bool { return !running(p) })
	})
	if err != nil {
		return err
	}
	for _, p := range append(append([]*process{}, w.streamers...), w.handlers...) {
		code, err := p.stop(30 * time.Second)
		if code == killedCode && err == nil && slices.Contains(w.handlers, p) {
			continue // by itself, behind its last commit: see dieNowAndThen
		}
		if err != nil || code != 0 {
			return fmt.Errorf("%s: a clean stop ended with code %d (%v)", p.name, code, err)
		}
	}
	return nil
}

func (w *world) report(r result, faults map[string]int) {
	outcomes := map[outcome]int{}
	for _, r := range r.history {
		outcomes[r.Outcome]++
	}
	total := 0
	for _, n := range faults {
		total += n
	}
	epoch := uint64(0)
	if n := len(r.seen.checkpoints); n > 0 {
		epoch = r.seen.checkpoints[n-1].Epoch
	}
	commits, alone := w.wire.seen()
	w.t.Logf("%d events; transactions %v; %d checkpoints looked at, epoch %d; on the wire %d commits, and %d events by themselves; %d faults of %d kinds; at most %.0f goroutines and %.0f MiB",
		len(r.truth.committed), outcomes, len(r.seen.checkpoints), epoch, commits, alone, total, len(faults), r.seen.goroutines, r.seen.memory/(1<<20))
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		w.t.Logf("  %3d × %s", faults[name], name)
	}
}
