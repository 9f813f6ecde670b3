//go:build unix && !linux

package dbserver

import "syscall"

// childAttr: only Linux can tie a child's life to ours. Elsewhere a server
// outlives a program that is killed; one that calls Close leaves nothing behind.
func childAttr() *syscall.SysProcAttr { return guardAttr() }
