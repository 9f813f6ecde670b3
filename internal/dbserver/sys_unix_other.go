//go:build unix && !linux

package dbserver

import (
	"context"
	"os/exec"
	"syscall"
)

// tieChild: only Linux can tie a child's life to ours. Elsewhere a server
// outlives a program that is killed; one that calls Close leaves nothing behind.
func tieChild(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// childrenOf: there is no common way to list them. What a killed PostgreSQL
// leaves behind ends by itself when it notices.
func childrenOf(int) ([]int, error) { return nil, nil }

func ended(int) bool { return true }

// awaitFrozen: there is no common way to see it; a request right behind a pause
// may still be answered.
func awaitFrozen(context.Context, int, <-chan struct{}) error { return nil }
