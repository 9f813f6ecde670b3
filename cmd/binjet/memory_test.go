package main

import (
	"runtime/debug"
	"testing"
)

// TestFitCollector: what the environment says of memory is left as it is.
func TestFitCollector(t *testing.T) {
	percent, limit := debug.SetGCPercent(77), debug.SetMemoryLimit(1<<40)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
	now := func() (int, int64) {
		p := debug.SetGCPercent(77)
		debug.SetGCPercent(p)
		return p, debug.SetMemoryLimit(-1)
	}
	fitCollector([]string{"GOGC=77", "GOMEMLIMIT=1TiB"}, 16<<20)
	if p, l := now(); p != 77 || l != 1<<40 {
		t.Errorf("it has the environment's, and is %d and %d", p, l)
	}
	fitCollector([]string{"HOME=/root"}, 16<<20)
	if p, l := now(); p != collectPercent || l != 64<<20 {
		t.Errorf("without the environment's it is %d and %d", p, l)
	}
}
