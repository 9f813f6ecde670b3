//go:build unix && !linux

package dbserver

import (
	"context"
	"syscall"
)

// childAttr: only Linux can tie a child's life to ours. Elsewhere a server
// outlives a program that is killed; one that calls Close leaves nothing behind.
func childAttr() *syscall.SysProcAttr { return guardAttr() }

// awaitFrozen: there is no common way to see it; a request right behind a pause
// may still be answered.
func awaitFrozen(context.Context, *child) error { return nil }
