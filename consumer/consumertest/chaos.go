package consumertest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"github.com/binjet/binjet/consumer"
)

// Chaos says how often what goes wrong: each is a probability from 0 to 1.
type Chaos struct {
	// Seed makes it go wrong in the same way again. Default: another one each time.
	Seed uint64
	// Fail has a handler fail before it runs.
	Fail float64
	// FailAfter has it fail after it ran, whatever it says itself: its effects are
	// there, if they are not in its transaction, and the message comes again.
	FailAfter float64
	// Panic has it panic before it runs.
	Panic float64
	// Duplicate has a message delivered once more, somewhere later.
	Duplicate float64
	// Reorder has a message change places with the one behind it.
	Reorder float64
}

// ErrInjected is every failure that [Chaos] causes, through errors.Is; panics too.
var ErrInjected = errors.New("failure injected by consumertest")

// Injector causes what its [Chaos] asks for. What happens to a message depends on
// the seed, its ID and its attempt only, and not on what runs beside it. It is
// safe for concurrent use.
type Injector struct{ chaos Chaos }

// Start returns an injector. When the test fails, it logs the seed.
func (c Chaos) Start(t testing.TB) *Injector {
	t.Helper()
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to see the same again: consumertest.Chaos{Seed: %d, …}", c.Seed)
		}
	})
	return &Injector{c}
}

// Seed is the one in use.
func (i *Injector) Seed() uint64 { return i.chaos.Seed }

// Middleware makes handlers fail, under [Run] and in a real consumer.
func (i *Injector) Middleware() consumer.Middleware {
	return func(next consumer.Handler) consumer.Handler {
		return func(ctx context.Context, msg *consumer.Message) error {
			return i.around(msg, 1, func() error { return next(ctx, msg) })
		}
	}
}

// BatchMiddleware makes handlers of batches fail as a whole.
func (i *Injector) BatchMiddleware() consumer.BatchMiddleware {
	return func(next consumer.BatchHandler) consumer.BatchHandler {
		return func(ctx context.Context, msgs []*consumer.Message) error {
			return i.around(msgs[0], len(msgs), func() error { return next(ctx, msgs) })
		}
	}
}

func (i *Injector) around(first *consumer.Message, n int, run func() error) error {
	dice := i.dice(fmt.Sprint(first.ID, " ", first.Attempt, " ", n))
	fail, after, panics := dice.Float64() < i.chaos.Fail, dice.Float64() < i.chaos.FailAfter, dice.Float64() < i.chaos.Panic
	switch {
	case panics:
		panic(fmt.Errorf("%w: panic of message %s", ErrInjected, first.ID))
	case fail:
		return fmt.Errorf("%w: before message %s", ErrInjected, first.ID)
	}
	if err := run(); err != nil || !after {
		return err
	}
	return fmt.Errorf("%w: after message %s", ErrInjected, first.ID)
}

func (i *Injector) dice(what string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what))
	return rand.New(rand.NewPCG(i.chaos.Seed, h.Sum64()))
}

// Deliveries are the messages as a broker in its worst mood delivers them: some
// twice, and out of order. Each is there at least once.
func (i *Injector) Deliveries(msgs ...*consumer.Message) []*consumer.Message {
	dice := i.dice("deliveries")
	var out []*consumer.Message
	for _, msg := range msgs {
		out = append(out, msg)
		if dice.Float64() < i.chaos.Duplicate {
			out = append(out, msg)
			for at := len(out) - 1; at > 0 && dice.IntN(2) == 0; at-- { // the copy strays
				out[at], out[at-1] = out[at-1], out[at]
			}
		}
	}
	for at := range len(out) - 1 {
		if dice.Float64() < i.chaos.Reorder {
			out[at], out[at+1] = out[at+1], out[at]
		}
	}
	return out
}
