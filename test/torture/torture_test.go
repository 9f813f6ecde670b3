package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
			w := newWorld(t, setting{flavor: r.flavor, nodes: r.nodes, streamer: streamer})
			if err := w.torture(trial{duration: *duration, seed: *seed, patience: time.Minute}); err != nil {
				t.Fatalf("seed %d: %v\nhistory and logs: %s (kept with -keep)", *seed, err, w.dir)
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
	seed := tr.seed
	ctx, cancel := context.WithTimeout(w.t.Context(), tr.duration)
	defer cancel()
	watchCtx, stopWatching := context.WithCancel(w.t.Context())
	defer stopWatching()
	var seen *observed
	var wg sync.WaitGroup
	wg.Go(func() { seen = w.watch(watchCtx) })

	l := startLoad(w.db.DB, seed, 6, []string{"outbox", "outbox", "outbox_hole"}, w.sessions())
	defer l.halt()
	n := &nemesis{w: w, rng: rand.New(rand.NewPCG(seed, 99)), done: map[string]int{}, log: func(s string) {
		if *keep != "" {
			w.t.Log(time.Now().Format("15:04:05.000"), s)
		}
	}}
	run := n.run
	if tr.drill {
		run = n.drill
	}
	if err := run(ctx); err != nil {
		return err
	}
	history := l.halt()
	if err := w.decide(rand.New(rand.NewPCG(seed, 100))); err != nil {
		return err
	}
	truth, err := w.committedEvents()
	if err != nil {
		return err
	}
	arrived := w.arrive(uint64(len(truth)), tr.patience)
	stopWatching()
	wg.Wait()
	err = w.judge(history, truth, seen, arrived)
	w.report(history, truth, seen, n.done)
	if err != nil {
		_ = w.writeHistory(history)
	}
	return err
}

// sessions are what a transaction's session may be set to.
func (w *world) sessions() []string {
	if w.db.server.Flavor() == dbserver.MariaDB {
		return nil
	}
	return []string{"SET SESSION binlog_transaction_compression=OFF", "SET SESSION binlog_transaction_compression=ON"}
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

// judge looks at every promise; the stream itself first, since it says the most.
func (w *world) judge(history []record, truth []string, seen *observed, arrived error) error {
	events, err := w.published()
	if err != nil {
		return err
	}
	for _, err := range []error{
		outcomesHold(history, truth),
		samePrefix(events, truth),
		wholeTransactions(events),
		checkpointsHold(seen.checkpoints, events),
		w.effectsOnce(events),
		arrived,
		seen.bounded(),
	} {
		if err != nil {
			return err
		}
	}
	for _, p := range append(append([]*process{}, w.streamers...), w.handlers...) {
		if code, err := p.stop(30 * time.Second); err != nil || code != 0 {
			return fmt.Errorf("%s: a clean stop ended with code %d: %w", p.name, code, err)
		}
	}
	return nil
}

func (w *world) report(history []record, truth []string, seen *observed, faults map[string]int) {
	outcomes := map[outcome]int{}
	for _, r := range history {
		outcomes[r.Outcome]++
	}
	total := 0
	for _, n := range faults {
		total += n
	}
	epoch := uint64(0)
	if n := len(seen.checkpoints); n > 0 {
		epoch = seen.checkpoints[n-1].Epoch
	}
	w.t.Logf("%d events; transactions %v; %d checkpoints looked at, epoch %d; %d faults; at most %.0f goroutines and %.0f MiB",
		len(truth), outcomes, len(seen.checkpoints), epoch, total, seen.goroutines, seen.memory/(1<<20))
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		w.t.Logf("  %3d × %s", faults[name], name)
	}
}

func (w *world) writeHistory(history []record) error {
	f, err := os.Create(filepath.Join(w.dir, "history.jsonl"))
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	for _, r := range history {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}
