package dbserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// childAttr: killed when the thread that made it ends, and out of the
// terminal's foreground group.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitFrozen waits until every thread has stopped. SIGSTOP alone is only asked
// for when kill returns: a thread on another processor, or one that a request
// wakes before the signal is taken, may still answer.
func awaitFrozen(ctx context.Context, c *child) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		frozen, err := allStopped(c.cmd.Process.Pid)
		if err != nil || frozen {
			return err
		}
		select {
		case <-tick.C:
		case <-c.done:
			return ErrNotRunning
		case <-ctx.Done():
			return fmt.Errorf("wait until it has stopped: %w", context.Cause(ctx))
		}
	}
}

func allStopped(pid int) (bool, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that ended meanwhile
		}
		// The name, in parentheses, may have any byte; the state is behind it.
		if i := bytes.LastIndex(stat, []byte(") ")); i < 0 || stat[i+2] != 'T' {
			return false, nil
		}
	}
	return len(tasks) > 0, nil
}
