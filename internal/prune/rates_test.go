package prune

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// TestSetRates: other rates count from the next batch on, and end a long pause.
func TestSetRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pruner
		var batches []int64
		begun := time.Now()
		fast := Rates{BatchRows: 4, Pause: time.Millisecond}
		p = newPruner(t, Config{Rates: Rates{BatchRows: 1, Pause: time.Hour}, Published: func(context.Context) (at checkpoint.Position, err error) {
			at.Flavor, at.Resume = checkpoint.MySQL, upTo(9)
			return at, nil
		}, Hooks: Hooks{Deleted: func(_ string, rows int64, _ time.Duration) {
			if batches = append(batches, rows); len(batches) == 2 {
				time.AfterFunc(time.Minute, func() {
					if err := p.SetRates(fast); err != nil {
						t.Error(err)
					}
				})
			}
		}}})
		m := &still{model: model{t: t, gone: map[int]bool{}}}
		r := &round{Pruner: p, source: m}
		var report TableReport
		if err := r.sweep(t.Context(), table{name: "outbox"}, &report); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		if len(batches) != 4 || batches[2] != 4 || batches[3] != 3 || took < time.Hour+time.Minute || took > time.Hour+2*time.Minute {
			t.Errorf("batches of %d rows in %s", batches, took)
		}
		for _, bad := range []Rates{{BatchRows: MaxBatchRows + 1}, {BatchRows: -1}, {Interval: -1}} {
			if err := p.SetRates(bad); err == nil {
				t.Errorf("%+v is taken", bad)
			}
		}
		if now, _ := p.now(); now != fast.withDefaults() {
			t.Errorf("refused rates changed it to %+v", now)
		}
	})
}

// still is a model with nine rows, all of them in the stream, where nothing happens.
type still struct{ model }

func (s *still) page(context.Context, table, any, int, time.Time) (rows []row, err error) {
	for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		rows = append(rows, row{id: id, old: true})
	}
	return rows, nil
}

func (s *still) horizon(context.Context, checkpoint.Position) (h Horizon, err error) {
	h.Flavor, h.GTIDs = checkpoint.MySQL, upTo(9)
	h.settled = upTo(9)
	return h, nil
}

func (s *still) remove(_ context.Context, _ table, ids []any, _ time.Time) (int64, error) {
	return int64(len(ids)), nil
}

// A long interval ends when it is made short.
func TestSetInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rounds := make(chan time.Time, 10)
		p := newPruner(t, Config{Rates: Rates{Interval: 24 * time.Hour}, Active: func() bool { rounds <- time.Now(); return false },
			Published: func(context.Context) (at checkpoint.Position, err error) { return at, nil }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }()
		first := <-rounds
		time.Sleep(time.Second)
		if err := p.SetRates(Rates{Interval: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if second := <-rounds; second.Sub(first) != time.Minute+time.Second {
			t.Errorf("the next round came after %s", second.Sub(first))
		}
		cancel()
		<-done
	})
}
