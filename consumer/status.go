package consumer

import (
	"sync"
	"time"
)

// State is what a consumer does.
type State string

// The states of a consumer.
const (
	StateNew      State = "new"      // Run was not called
	StateStarting State = "starting" // there was no session with the broker yet
	StateRunning  State = "running"
	StatePaused   State = "paused"   // by [Consumer.Pause]
	StateSlow     State = "slow"     // as [BreakerSlow]
	StateOpen     State = "open"     // as [BreakerOpen]: messages wait
	StateDraining State = "draining" // Run was told to end
	StateStopped  State = "stopped"  // Run has returned
)

// Status is a consumer at one moment, for people and as JSON. It is about this
// process alone, and the broker is not asked.
type Status struct {
	State State `json:"state"`
	// Since is when it came into this state; zero for [StateNew].
	Since time.Time `json:"since,omitzero"`
	// Connected says whether there is a connection to the broker.
	Connected bool `json:"connected"`
	// Breaker says more about slow and open.
	Breaker BreakerStatus `json:"breaker"`
	// Stats counts what ended, and what is held.
	Stats Stats `json:"stats"`
	// LastError is the last failure of a message, and LastErrorAt its time.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// Status returns what the consumer does now. It may be called at any time, from
// any goroutine, hooks excepted.
func (c *Consumer) Status() Status {
	s := Status{Connected: c.js.Conn().IsConnected(), Breaker: c.breaker.now(), Stats: c.Stats()}
	c.life.mu.Lock()
	s.State, s.Since, s.LastError, s.LastErrorAt = c.life.state, c.life.since, c.life.err, c.life.errAt
	c.life.mu.Unlock()
	if since := c.gate.pausedSince(); s.State == StateRunning && !since.IsZero() {
		s.State, s.Since = StatePaused, since
	} else if s.State == StateRunning && s.Breaker.State != BreakerClosed {
		s.Since = s.Breaker.Since
		s.State = StateSlow
		if s.Breaker.State == BreakerOpen {
			s.State = StateOpen
		}
	}
	return s
}

// life is what a status remembers.
type life struct {
	mu    sync.Mutex
	state State
	since time.Time
	err   string
	errAt time.Time
}

func (l *life) become(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.since = s, time.Now()
}

func (l *life) failed(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.errAt = text, time.Now()
}
