package main

import (
	"runtime"
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

// TestFitScheduler: one processor has two places, unless the environment says one.
func TestFitScheduler(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	for _, tt := range []struct {
		environ   []string
		has, want int
	}{{nil, 1, 2}, {[]string{"GOMAXPROCS=1"}, 1, 1}, {nil, 3, 3}} {
		runtime.GOMAXPROCS(tt.has)
		fitScheduler(tt.environ)
		if got := runtime.GOMAXPROCS(0); got != tt.want {
			t.Errorf("%v, %d: %d", tt.environ, tt.has, got)
		}
	}
}
