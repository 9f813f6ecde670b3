//go:build !linux

package main

import "syscall"

const terminate = syscall.SIGTERM

// childAttr: nothing can be asked of every system. Ctrl-C reaches the child, too,
// which ends by it cleanly.
func childAttr() *syscall.SysProcAttr { return nil }
