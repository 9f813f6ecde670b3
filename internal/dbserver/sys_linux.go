package dbserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tieChild: killed when the thread that made it ends, and out of the terminal's
// foreground group.
func tieChild(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
}

// awaitFrozen waits until every thread has stopped. SIGSTOP alone is only asked
// for when kill returns: a thread on another processor, or one that a request
// wakes before the signal is taken, may still answer.
func awaitFrozen(ctx context.Context, pid int, done <-chan struct{}) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		frozen, err := allStopped(pid)
		if err != nil || frozen {
			return err
		}
		if ended(pid) {
			return ErrNotRunning
		}
		select {
		case <-tick.C:
		case <-done:
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

// childrenOf are the processes whose parent is pid, without those that have
// ended and were not waited for.
func childrenOf(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, path := range stats {
		if state, parent := parentOf(path); parent == pid && state != "Z" {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return nil, err
			}
			children = append(children, child)
		}
	}
	return children, nil
}

// parentOf reads "pid (name) state ppid …"; of a process that is gone, nothing.
func parentOf(stat string) (state string, pid int) {
	text, err := os.ReadFile(stat)
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	pid, _ = strconv.Atoi(fields[1])
	return fields[0], pid
}

// ended tells whether a process that is no child of ours is gone or a zombie.
func ended(pid int) bool {
	state, _ := parentOf(fmt.Sprintf("/proc/%d/stat", pid))
	return state == "" || state == "Z"
}
