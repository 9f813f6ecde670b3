package consumer

import (
	"log/slog"
	"sync"
	"time"
)

// Pause keeps handlers from beginning, in this process, until [Consumer.Resume].
// Those that run come to their end. Nothing more is fetched; what this process
// holds already, and with Ordered: [ByKey] the keys of its shares, waits with it,
// alive on the broker and without an attempt being counted. Other processes of the
// name go on; to let them have all of the work, stop this one. A Run that is
// told to end hands back what waits. It may be called at any time, from any goroutine,
// also before Run.
func (c *Consumer) Pause() {
	if c.gate.set(true) {
		c.log.Warn("paused: no handler begins until Resume")
	}
}

// Resume ends a [Consumer.Pause].
func (c *Consumer) Resume() {
	if since := c.gate.pausedSince(); c.gate.set(false) {
		c.log.Info("resumed", slog.Duration("after", time.Since(since)))
	}
}

// gate is what every attempt passes. The zero value is open.
type gate struct {
	mu      sync.Mutex
	paused  bool
	since   time.Time
	changed chan struct{} // closed at the next change; nil while nobody waits for it
}

// set reports whether that was a change.
func (g *gate) set(paused bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.paused == paused {
		return false
	}
	g.paused, g.since = paused, time.Now()
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	return true
}

// pausedSince is zero while the gate is open.
func (g *gate) pausedSince() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.paused {
		return time.Time{}
	}
	return g.since
}

// state also returns what ends with it.
func (g *gate) state() (paused bool, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.paused, g.changed
}

// pass waits until the gate is open; false says that Run ends.
func (g *gate) pass(stop <-chan struct{}) bool {
	for {
		paused, changed := g.state()
		if !paused {
			return true
		}
		select {
		case <-changed:
		case <-stop:
			return false
		}
	}
}
