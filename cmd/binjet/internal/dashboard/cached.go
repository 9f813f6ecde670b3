package dashboard

import (
	"sync"
	"time"
)

// cached is what was found out not long ago, so that many viewers cost no more than
// one. Whoever comes while it is being found out waits for it, unless he only peeks.
type cached[T any] struct {
	asking sync.Mutex // held by the one who asks
	mu     sync.Mutex
	last   answer[T]
}

type answer[T any] struct {
	value T
	err   error
	at    time.Time
}

// get asks again when the answer is older than fresh. An error is an answer, too.
func (c *cached[T]) get(fresh time.Duration, ask func() (T, error)) (T, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	last := c.known()
	if last.at.IsZero() || time.Since(last.at) >= fresh {
		last.value, last.err = ask()
		last.at = time.Now()
		c.know(last)
	}
	return last.value, last.err
}

// peek is the last answer, if there was one. It asks nobody, and waits for nobody.
func (c *cached[T]) peek() (value T, err error, asked bool) {
	last := c.known()
	return last.value, last.err, !last.at.IsZero()
}

// forget makes the next one ask, also where somebody is asking now.
func (c *cached[T]) forget() {
	c.asking.Lock()
	defer c.asking.Unlock()
	last := c.known()
	last.at = time.Time{}
	c.know(last)
}

func (c *cached[T]) known() answer[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *cached[T]) know(last answer[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = last
}
