//go:build binjet_profile

package main

import (
	"os"
	"runtime"
	"runtime/pprof"
)

// profiled writes a CPU profile to the file that BINJET_TEST_CPUPROFILE names, until the
// returned function is called, and then the allocations beside it.
func profiled() func() {
	path := os.Getenv("BINJET_TEST_CPUPROFILE")
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		panic(err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
		if a, err := os.Create(path + ".allocs"); err == nil {
			runtime.GC()
			_ = pprof.Lookup("allocs").WriteTo(a, 0)
			_ = a.Close()
		}
	}
}
