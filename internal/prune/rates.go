package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Rates are how fast a [Pruner] goes. They may change while it runs.
type Rates struct {
	// BatchRows bounds the rows of one DELETE, which is a transaction: 1 to
	// [MaxBatchRows]. Default 500.
	BatchRows int
	// Pause is between two of them. Default 100 ms; negative is none.
	Pause time.Duration
	// Interval is between two rounds of [Pruner.Run]. Default 1 min.
	Interval time.Duration
}

func (r Rates) withDefaults() Rates {
	return Rates{BatchRows: cmp.Or(r.BatchRows, DefaultBatchRows), Pause: cmp.Or(r.Pause, DefaultPause), Interval: cmp.Or(r.Interval, DefaultInterval)}
}

func (r Rates) validate() error {
	var faults []error
	if r.BatchRows < 1 || r.BatchRows > MaxBatchRows {
		faults = append(faults, fmt.Errorf("batches of %d rows are not of 1 to %d", r.BatchRows, MaxBatchRows))
	}
	if r.Interval < 0 {
		faults = append(faults, fmt.Errorf("the interval %s is negative", r.Interval))
	}
	return errors.Join(faults...)
}

// SetRates changes the rates, from the next batch on; a pause that is under way ends
// and begins anew. It may be called at any time and from any goroutine. On an error
// nothing has changed.
func (p *Pruner) SetRates(r Rates) error {
	r = r.withDefaults()
	if err := r.validate(); err != nil {
		return fmt.Errorf("prune rates: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rates = r
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

// now returns the rates, and what is closed when there are others.
func (p *Pruner) now() (Rates, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rates, p.changed
}

func (p *Pruner) batchRows() int {
	r, _ := p.now()
	return r.BatchRows
}

func (p *Pruner) interval() time.Duration {
	r, _ := p.now()
	return r.Interval
}

// rest is for as long as length says, of the rates as they are by then.
func (p *Pruner) rest(ctx context.Context, length func(Rates) time.Duration) error {
	for {
		rates, changed := p.now()
		t := time.NewTimer(length(rates))
		select {
		case <-t.C:
			return ctx.Err()
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-changed:
			t.Stop()
		}
	}
}

func pauseOf(r Rates) time.Duration    { return r.Pause }
func intervalOf(r Rates) time.Duration { return r.Interval }
