//go:build !binjet_profile

package main

// profiled does nothing: only `make bench` builds a binjet that profiles itself.
func profiled() func() { return func() {} }
