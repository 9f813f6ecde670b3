package main

import (
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// What the runtime is told of memory, by measurement of drains: garbage is collected half as
// often as by default while there is room, and never later than at the limit. The
// binary itself, some 20 MB of it, is not counted.
const (
	collectPercent = 200
	memoryBase     = 32 << 20
)

// fitCollector makes Go's garbage collector fit what run holds at most: a transaction of
// held bytes, the queue, two batches. GOGC and GOMEMLIMIT of the environment come first.
// The limit is soft: what is needed is had, for more of the processor's time.
func fitCollector(environ []string, held int64) {
	if !isSet(environ, "GOGC") {
		debug.SetGCPercent(collectPercent)
	}
	if !isSet(environ, "GOMEMLIMIT") {
		debug.SetMemoryLimit(memoryBase + 2*held)
	}
}

// fitScheduler gives Go's scheduler two places to run on where there is one processor.
// With one place, and the reader of a backlog always busy, it looks at the network every
// ten milliseconds, and the broker's answer to a batch waits for that.
// GOMAXPROCS of the environment comes first.
func fitScheduler(environ []string) {
	if runtime.GOMAXPROCS(0) == 1 && !isSet(environ, "GOMAXPROCS") {
		runtime.GOMAXPROCS(2)
	}
}

func isSet(environ []string, name string) bool {
	return slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
}
