package relay

import (
	"sync"
	"time"
)

// Backlog is what a leader has taken from its source and the stream does not hold
// yet. Of a standby it is zero.
type Backlog struct {
	// Transactions with events, or parts of one that the source gave in parts.
	Transactions int `json:"transactions"`
	// Bytes of their events, those of the batches that are being made included. It is
	// bounded by Config.QueueBytes and two batches, and one event more.
	Bytes int `json:"bytes"`
	// Since is when it last came nearer to its end, or began; zero while it is empty.
	// A leader whose backlog stands still does not publish, whatever its checkpoint does.
	Since time.Time `json:"since,omitzero"`
}

// Backlog returns what waits now. It is safe to call at any time.
func (r *Relay) Backlog() Backlog { return r.backlog.now() }

// backlog counts it. The feeder adds, the session takes away.
type backlog struct {
	mu sync.Mutex
	b  Backlog
}

// feed notes a transaction before anything is done about it, so that one which can't
// even enter the queue is seen waiting.
func (b *backlog) feed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.b.Transactions++; b.b.Since.IsZero() {
		b.b.Since = time.Now()
	}
}

func (b *backlog) hold(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Bytes += bytes
}

// store notes a batch that the stream holds.
func (b *backlog) store(stored *batch) {
	if stored.ends == 0 && stored.held == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Transactions -= stored.ends
	b.b.Bytes -= stored.held
	b.b.Since = time.Now()
	if b.b.Transactions == 0 {
		b.b.Since = time.Time{}
	}
}

// drop forgets everything: the next leader reads it again.
func (b *backlog) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = Backlog{}
}

func (b *backlog) now() Backlog {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b
}
