package dbserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
)

// child is a process that dies with this one, or a server that a Launcher runs.
type child struct {
	cmd     *exec.Cmd // nil when there is a Launcher
	process Process
	done    chan struct{} // closed when it has ended and was waited for
	told    atomic.Bool   // to end, by us
	err     error         // what Wait said; to be read after done
}

// startLogged starts cmd, and what it says goes to log.
func startLogged(cmd *exec.Cmd, log *os.File) (*child, error) {
	cmd.Stdout, cmd.Stderr = log, log
	return startChild(cmd)
}

// how tells how a child that is done has ended.
func (c *child) how() string {
	if c.err != nil {
		return c.err.Error()
	}
	return "exit status 0"
}

// startChild starts cmd in a process group of its own. One goroutine, locked to
// its thread, both starts it and waits for it: the kernel ties the death signal
// to the thread that made the child, and a thread of the runtime's pool may end
// at any time.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	tieChild(cmd)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// signal tells a child that has ended already nothing, which is no error.
func (c *child) signal(sig os.Signal) error {
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", c.cmd.Process.Pid, err)
	}
	return nil
}

func (c *child) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// runChild runs cmd to its end; when ctx ends first it is killed.
func runChild(ctx context.Context, cmd *exec.Cmd) error {
	c, err := startChild(cmd)
	if err != nil {
		return err
	}
	if err := c.wait(ctx); err != nil {
		kerr := killGroup(c)
		<-c.done
		return errors.Join(err, kerr)
	}
	return c.err
}

// output runs a short command and gives what it wrote to its standard output;
// an error has the end of what it wrote to the other one.
func output(ctx context.Context, name string, args ...string) (string, error) {
	var out, errOut bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := runChild(ctx, cmd); err != nil {
		if msg := strings.TrimSpace(lastLines(errOut.String(), 5)); msg != "" {
			return "", fmt.Errorf("%w: %s", err, msg)
		}
		return "", err
	}
	return out.String(), nil
}

// lastLines is the last n lines of s.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
