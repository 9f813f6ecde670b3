package binlog

import (
	"sync"
	"time"
)

// reach is whether the server of a running [Reader.Stream] can be reached.
type reach struct {
	mu    sync.Mutex
	since time.Time // of the first failure in a row
	cause error     // of the last one
}

// Lost says since when Stream can't reach the server, and why at last; the zero
// time while it can, or does not run. A server that answers and can't be read on
// from the position, such as a replica that lags, is not lost.
func (r *Reader) Lost() (since time.Time, cause error) {
	r.reach.mu.Lock()
	defer r.reach.mu.Unlock()
	return r.reach.since, r.reach.cause
}

func (r *reach) lose(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		r.since = time.Now()
	}
	r.cause = cause
}

func (r *reach) find() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.cause = time.Time{}, nil
}
