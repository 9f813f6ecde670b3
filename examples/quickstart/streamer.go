package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// buildBinjet builds the command into dir. The go command knows where the module
// is, and its cache makes this quick the second time.
func buildBinjet(ctx context.Context, dir string) (string, error) {
	root, err := runGo(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/binjet/binjet")
	if err != nil {
		return "", fmt.Errorf("find binjet's module (run this in the examples directory): %w", err)
	}
	binary := filepath.Join(dir, "binjet")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if _, err := runGo(ctx, "build", "-C", root, "-o", binary, "./cmd/binjet"); err != nil {
		return "", fmt.Errorf("build binjet: %w", err)
	}
	return binary, nil
}

func runGo(ctx context.Context, args ...string) (string, error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, errOut.Bytes())
	}
	return strings.TrimSpace(out.String()), nil
}

// streamer is `binjet run` as a child process, of which there is one at a time.
type streamer struct {
	binary, logFile string
	env             []string

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; then err is what Wait said
	err  error
}

// newStreamer configures the command by its environment alone. Variables of the
// user's that are meant for another binjet are kept away from it.
func newStreamer(binary, dir, dsn, natsURL string) *streamer {
	s := &streamer{binary: binary, logFile: filepath.Join(dir, "binjet.log")}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "BINJET_") {
			s.env = append(s.env, v)
		}
	}
	s.env = append(s.env,
		"BINJET_SOURCE_NAME="+sourceName,
		"BINJET_SOURCE_DSN="+dsn,
		"BINJET_NATS_URL="+natsURL,
		"BINJET_RELAY_HEARTBEAT="+heartbeat.String(),
		"BINJET_HTTP_LISTEN=127.0.0.1:0",
		"BINJET_LOG_FORMAT=console", // people read its end when something fails
	)
	return s
}

// init runs `binjet init`, which makes the stream.
func (s *streamer) init(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.binary, "init")
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("binjet init: %w\n%s", err, out)
	}
	return nil
}

// start runs `binjet run`. The goroutine that starts the process stays on its
// thread until it ends, since on Linux the process is killed with that thread.
func (s *streamer) start() error {
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd, done := exec.Command(s.binary, "run"), make(chan struct{})
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = s.env, log, log, childAttr()
	s.cmd, s.done = cmd, done
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			s.err = cmd.Wait()
		}
		close(done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start binjet: %w", err)
	}
	return nil
}

func (s *streamer) running() bool {
	if s.done == nil {
		return false // never started
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *streamer) pid() int { return s.cmd.Process.Pid }

// kill ends the process without a chance to do anything (SIGKILL).
func (s *streamer) kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill binjet: %w", err)
	}
	<-s.done
	return nil
}

// stop lets it end by itself (SIGTERM); an error is what it ended with.
func (s *streamer) stop(timeout time.Duration) error {
	_ = s.cmd.Process.Signal(terminate) // an error means that it has ended
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err
	case <-timer.C:
		return errors.Join(fmt.Errorf("binjet did not end within %s of SIGTERM", timeout), s.kill())
	}
}

// tail is the end of its log, for an error.
func (s *streamer) tail() string {
	text, err := os.ReadFile(s.logFile)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
