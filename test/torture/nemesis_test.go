package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// fault is one thing that may happen. begin makes it and returns what ends it.
type fault struct {
	weight int
	name   string
	target string
	begin  func() (end func() error, err error)
	alone  bool // never with another one
}

// nemesis makes one fault after the other, now and then two at once.
type nemesis struct {
	w    *world
	rng  *rand.Rand
	done map[string]int // faults made, by kind
	only *regexp.Regexp // of their names; nil for all
	deck []string       // names of faults that come next, see draw
}

// run makes faults until the time is over, and leaves everything whole. After some of
// them it waits until something was published again: a night in which nobody leads
// would prove nothing.
func (n *nemesis) run(ctx context.Context) error {
	if len(n.named()) == 0 {
		return fmt.Errorf("no fault of this run is named by %s", n.only)
	}
	for i := 1; ctx.Err() == nil; i++ {
		ends, err := n.begin()
		if err != nil {
			return err
		}
		wait(ctx, time.Duration(n.rng.Int64N(int64(1500*time.Millisecond))))
		for _, end := range ends {
			if err := end(); err != nil {
				return err
			}
		}
		n.w.did("is over")
		if err := n.w.revive(); err != nil {
			return err
		}
		if i%4 == 0 {
			if err := n.w.recovers(); err != nil {
				return err
			}
		}
		wait(ctx, time.Duration(n.rng.Int64N(int64(700*time.Millisecond))))
	}
	return nil
}

// begin makes one fault, or two of different targets, and returns what ends them.
func (n *nemesis) begin() (ends []func() error, err error) {
	taken := ""
	for range 1 + n.rng.IntN(5)/4 {
		f := n.draw()
		if len(ends) > 0 && (f.target == taken || f.alone) {
			n.putBack(f)
			break
		}
		taken = f.target
		n.w.did("begins: " + f.name)
		end, err := f.begin()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		n.done[f.name]++
		ends = append(ends, end)
		if f.alone {
			break
		}
	}
	return ends, nil
}

// recovers waits for a checkpoint that is newer than the one of now.
func (w *world) recovers() error {
	var before uint64
	return w.until("another checkpoint while no fault is made", 2*time.Minute, func() bool {
		c, err := w.checkpoint()
		if err != nil {
			return false
		}
		if before == 0 {
			before = c.seq
		}
		return c.seq > before
	})
}

// drill stops the leader for longer than a standby waits, lets it go on, kills it, and
// kills a handler, again and again: what a broken rule of the relay does not survive.
func (n *nemesis) drill(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		for _, p := range []*process{n.w.streamers[i%2], n.w.streamers[(i+1)%2]} {
			p.signal(syscall.SIGSTOP)
			wait(ctx, time.Second)
			p.signal(syscall.SIGCONT)
			wait(ctx, 300*time.Millisecond)
			n.done["a streamer is stopped"]++
		}
		for _, p := range []*process{n.w.streamers[i%2], n.w.handlers[i%2]} {
			p.kill()
			if err := p.start(); err != nil {
				return err
			}
			n.done[p.name+" is killed"]++
			wait(ctx, 700*time.Millisecond)
		}
		if err := n.w.revive(); err != nil {
			return err
		}
		if err := n.w.glance(); err != nil {
			return err
		}
	}
	return nil
}

// named are the faults that may be drawn.
func (n *nemesis) named() []fault {
	return slices.DeleteFunc(n.faults(), func(f fault) bool { return n.only != nil && !n.only.MatchString(f.name) })
}

// draw takes the next card of a deck, which has each kind of fault once and behind
// that each as often as it weighs: what is rare is not left out by chance.
func (n *nemesis) draw() fault {
	list := n.named()
	if len(n.deck) == 0 {
		n.deck = n.shuffled(list)
	}
	name := n.deck[0]
	n.deck = n.deck[1:]
	return list[slices.IndexFunc(list, func(f fault) bool { return f.name == name })]
}

func (n *nemesis) shuffled(list []fault) []string {
	var once, more []string
	for _, f := range list {
		once = append(once, f.name)
		for range f.weight - 1 {
			more = append(more, f.name)
		}
	}
	for _, part := range [][]string{once, more} {
		n.rng.Shuffle(len(part), func(i, k int) { part[i], part[k] = part[k], part[i] })
	}
	return append(once, more...)
}

// putBack is for a card that can't be played now.
func (n *nemesis) putBack(f fault) { n.deck = append([]string{f.name}, n.deck...) }
