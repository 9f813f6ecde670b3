package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// roleEnv names what this program is when it is not the one that measures; specEnv is
// what it is told, as JSON. Whatever makes load is a process of its own, so that the
// system counts its time by itself.
const (
	roleEnv = "BINJET_TEST_BENCH"
	specEnv = "BINJET_TEST_BENCH_SPEC"
)

// child is a process of a measurement.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string // file with what it wrote to its standard error
	out  bytes.Buffer
	done chan struct{}
	err  error // what Wait said; to be read after done
}

// startChild runs cmd on these processors; none: on those of this process. The
// goroutine that starts it stays on its thread until it ends, since on Linux the process is
// killed with that thread, whose processors it has; the thread ends, too.
func startChild(dir, name string, cmd *exec.Cmd, on ...int) (*child, error) {
	c := &child{name: name, cmd: cmd, done: make(chan struct{}), log: filepath.Join(dir, name+".log")}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &c.out, log, childAttr()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := runThreadOn(0, on)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// self is this program in a role.
func self(role string, spec any) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, specEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	return cmd, nil
}

// startRole is startChild of self.
func (w *world) startRole(role string, spec any, on ...int) (*child, error) {
	cmd, err := self(role, spec)
	if err != nil {
		return nil, err
	}
	return startChild(w.dir, role, cmd, on...)
}

// runRole runs a role to its end and reads its result.
func runRole[T any](ctx context.Context, w *world, role string, spec any) (result T, err error) {
	c, err := w.startRole(role, spec)
	if err != nil {
		return result, err
	}
	return resultOf[T](ctx, c)
}

func resultOf[T any](ctx context.Context, c *child) (result T, err error) {
	select {
	case <-c.done:
	case <-ctx.Done():
		c.kill()
		return result, ctx.Err()
	}
	if c.err != nil {
		return result, c.failed()
	}
	if err := json.Unmarshal(c.out.Bytes(), &result); err != nil {
		return result, fmt.Errorf("%s: its result %.200q: %w", c.name, c.out.String(), err)
	}
	return result, nil
}

// failed is an error for a child that has ended although it should not have.
func (c *child) failed() error {
	text, _ := os.ReadFile(c.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s ended: %w\n%s", c.name, errors.Join(c.err, errEnded), strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

var errEnded = errors.New("too early")

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// stop asks it to end, and kills it when it does not.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		c.kill()
	}
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }
