package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// halves are the processors of NATS servers, and those of everything else. On a machine
// that they share, the rate of a drain is one over the sum of what all of them cost;
// where the broker is another machine, it is that of the slower of both.
type halves struct{ brokers, rest []int }

// splitProcessors confines this process, and what it starts from now on, to one half of
// the processors that it may use.
func splitProcessors() (h halves, err error) {
	all, err := processors()
	if err != nil {
		return h, err
	}
	if len(all) < 2 {
		return h, fmt.Errorf("-apart needs two processors, and this process may use %d: leave the flag out, or allow it more", len(all))
	}
	h = halves{rest: all[:len(all)/2], brokers: all[len(all)/2:]}
	if err := confineThreads(h.rest); err != nil {
		return h, err
	}
	runtime.GOMAXPROCS(len(h.rest))
	return h, nil
}

// confineThreads looks again until it finds no new thread, since a new one has the
// processors of the one that begins it, which may not have been confined yet.
func confineThreads(list []int) error {
	seen := make(map[string]bool)
	for {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		before := len(seen)
		for _, t := range threads {
			if seen[t.Name()] {
				continue
			}
			seen[t.Name()] = true
			id, err := strconv.Atoi(t.Name())
			if err == nil {
				err = runThreadOn(id, list)
			}
			if err != nil {
				return fmt.Errorf("confine thread %s: %w", t.Name(), err)
			}
		}
		if len(seen) == before {
			return nil
		}
	}
}
