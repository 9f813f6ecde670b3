package mapping

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/test/internal/testdb"
)

// command is binjet with a broker of its own.
type command struct {
	bin string
	env map[string]string
	js  jetstream.JetStream
}

func newCommand(t *testing.T, w *world, env map[string]string) *command {
	t.Helper()
	broker := testdb.NewBroker(t)
	js, err := jetstream.New(broker.Connect(t))
	must(t, err)
	c := &command{bin: testdb.Command(t), js: js, env: map[string]string{"BINJET_SOURCE_DSN": w.srv.DSN(w.schema), "BINJET_NATS_URL": broker.URL(),
		"BINJET_HTTP_LISTEN": "127.0.0.1:0", "HOME": os.Getenv("HOME")}}
	for k, v := range env {
		c.env[k] = v
	}
	return c
}

func (c *command) command(t *testing.T, env map[string]string, args ...string) *exec.Cmd {
	cmd := exec.Command(c.bin, args...)
	cmd.Dir = t.TempDir()
	for _, layer := range []map[string]string{c.env, env} { // the last one of a name counts
		for k, v := range layer {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	return cmd
}

// output runs a command to its end, and returns all that it wrote and its exit code.
func (c *command) output(t *testing.T, env map[string]string, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd := c.command(t, env, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	var exit *exec.ExitError
	if !kill.Stop() || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", args, err, &out)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (c *command) succeeds(t *testing.T, args ...string) {
	t.Helper()
	if out, code := c.output(t, nil, args...); code != 0 {
		t.Fatalf("%s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
}

// run runs `binjet run` until stop is called, or the test ends.
func (c *command) run(t *testing.T, env map[string]string) (stop func()) {
	t.Helper()
	var log bytes.Buffer
	cmd := c.command(t, env, "run")
	cmd.Stderr = &log
	must(t, cmd.Start())
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		kill.Stop()
		if err != nil || t.Failed() {
			t.Errorf("the streamer ended with %v:\n%s", err, &log)
		}
	}
	t.Cleanup(stop)
	return stop
}

// messages waits until n messages of a filter lie on a stream, and returns them by ID.
func (c *command) messages(t *testing.T, stream, filter string, n int) map[string]*nats.Msg {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		list := make(map[string]*nats.Msg)
		s, err := c.js.Stream(t.Context(), stream)
		if err == nil {
			list = all(t, s, strings.TrimSuffix(filter, ">"))
		}
		if len(list) >= n {
			return list
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("stream %s never has %d messages of %s, but %v: %v", stream, n, filter, list, err)
		}
	}
}

func all(t *testing.T, s jetstream.Stream, prefix string) map[string]*nats.Msg {
	t.Helper()
	list := make(map[string]*nats.Msg)
	state := s.CachedInfo().State
	for seq := max(1, state.FirstSeq); seq <= state.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) { // a checkpoint that another replaced
			continue
		}
		must(t, err)
		if strings.HasPrefix(m.Subject, prefix) {
			list[m.Header.Get(binjet.HeaderID)] = &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}
		}
	}
	return list
}
