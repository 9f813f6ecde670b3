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
		return h, fmt.Errorf("-apart needs two processors, and this process may use %d", len(all))
	}
	h = halves{rest: all[:len(all)/2], brokers: all[len(all)/2:]}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return h, err
	}
	for _, t := range threads { // a new one has those of the one that begins it
		id, err := strconv.Atoi(t.Name())
		if err == nil {
			err = runThreadOn(id, h.rest)
		}
		if err != nil {
			return h, fmt.Errorf("confine thread %s: %w", t.Name(), err)
		}
	}
	runtime.GOMAXPROCS(len(h.rest))
	return h, nil
}
