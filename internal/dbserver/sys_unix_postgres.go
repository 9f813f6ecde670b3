//go:build unix

package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// run makes cmd run as a.
func (a account) run(cmd *exec.Cmd) {
	if a.other {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}}
	}
}

// own gives a everything below path.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid)
	})
}

func interrupt(c *child) error { return c.signal(syscall.SIGINT) }

// killTree kills a process and its children, which would otherwise live on
// until they notice. They are listed while the parent is stopped, so that it
// makes no more.
func killTree(ctx context.Context, c *child) error {
	if err := c.freeze(ctx); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	children, err := childrenOf(c.cmd.Process.Pid)
	err = errors.Join(err, c.signal(syscall.SIGKILL), signalAll(children, syscall.SIGKILL))
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, pid := range children {
		for !ended(pid) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("wait for the end of process %d: %w", pid, context.Cause(ctx))
			}
		}
	}
	return nil
}

// freezeTree stops a process, then its children.
func freezeTree(ctx context.Context, c *child) error {
	if err := c.freeze(ctx); err != nil {
		return err
	}
	children, err := childrenOf(c.cmd.Process.Pid)
	if err := errors.Join(err, signalAll(children, syscall.SIGSTOP)); err != nil {
		return err
	}
	for _, pid := range children {
		if err := awaitFrozen(ctx, pid, c.done); err != nil && !ended(pid) {
			return err
		}
	}
	return nil
}

func thawTree(c *child) error {
	children, err := childrenOf(c.cmd.Process.Pid)
	return errors.Join(err, signalAll(children, syscall.SIGCONT), c.thaw())
}

// signalAll: one that has ended meanwhile is no error.
func signalAll(pids []int, sig syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("signal process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}
