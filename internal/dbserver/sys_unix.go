//go:build unix

package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// guardAttr is for the process that must outlive this one, if only to tidy up.
func guardAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a helper and what it started.
func killGroup(c *child) error {
	if err := syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", c.cmd.Process.Pid, err)
	}
	return nil
}

func (c *child) terminate() error {
	// A frozen process acts on SIGTERM only once it goes on.
	return errors.Join(c.signal(syscall.SIGTERM), c.signal(syscall.SIGCONT))
}

func (c *child) freeze(ctx context.Context) error {
	if err := c.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return awaitFrozen(ctx, c.cmd.Process.Pid, c.done)
}

func (c *child) thaw() error { return c.signal(syscall.SIGCONT) }

// tryLock takes the lock on an open file, or gives false when somebody has it.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
