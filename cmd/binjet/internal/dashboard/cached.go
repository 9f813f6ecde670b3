package dashboard

import (
	"sync"
	"time"
)

// cached is what was found out not long ago, so that many viewers cost no more than
// one. Whoever comes while it is being found out waits for it.
type cached[T any] struct {
	mu    sync.Mutex
	value T
	err   error
	at    time.Time
}

// get asks again when the answer is older than fresh. An error is an answer, too.
func (c *cached[T]) get(fresh time.Duration, ask func() (T, error)) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || time.Since(c.at) >= fresh {
		c.value, c.err = ask()
		c.at = time.Now()
	}
	return c.value, c.err
}

// forget makes the next one ask.
func (c *cached[T]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Time{}
}
