package main

import (
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
	set := func(name string) bool {
		return slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	if !set("GOGC") {
		debug.SetGCPercent(collectPercent)
	}
	if !set("GOMEMLIMIT") {
		debug.SetMemoryLimit(memoryBase + 2*held)
	}
}
