package test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/test/internal/testdb"
)

// patience is for a slow machine that runs other tests too.
const patience = 3 * time.Minute

// cmdWorld is a binjet command, a database of its own on a server of the flavour,
// and a broker of its own.
type cmdWorld struct {
	bin    string
	srv    *dbserver.Server
	db     *sql.DB // root, no default database
	schema string
	nats   *natstest.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	env    map[string]string
}

func newCmdWorld(t *testing.T, bin string, srv *dbserver.Server, db *sql.DB, schema string) *cmdWorld {
	t.Helper()
	testdb.Create(t, srv, schema)
	w := &cmdWorld{bin: bin, srv: srv, db: db, schema: schema, nats: natstest.Start(t)}
	w.nc = w.nats.Connect(t)
	js, err := jetstream.New(w.nc)
	must(t, err)
	w.js = js
	w.env = map[string]string{
		"BINJET_SOURCE_DSN": srv.DSN(schema), "BINJET_NATS_URL": w.nats.URL(), "BINJET_HTTP_LISTEN": "127.0.0.1:0",
		"BINJET_RELAY_HEARTBEAT": "200ms", "HOME": os.Getenv("HOME"),
	}
	return w
}

// init makes the table, the stream and the bucket by the command itself.
func (w *cmdWorld) init(t *testing.T) {
	t.Helper()
	if r := w.run(t, nil, "init"); r.code != 0 {
		t.Fatalf("init: %s", r)
	}
}

func (w *cmdWorld) command(t *testing.T, extra map[string]string, args ...string) *exec.Cmd {
	cmd := exec.Command(w.bin, args...)
	cmd.Dir = t.TempDir()
	env := make(map[string]string)
	for _, layer := range []map[string]string{w.env, extra} {
		for k, v := range layer {
			env[k] = v
		}
	}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

type cmdResult struct {
	code           int
	stdout, stderr string
}

func (r cmdResult) String() string {
	return fmt.Sprintf("exit %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

// run runs a command to its end.
func (w *cmdWorld) run(t *testing.T, extra map[string]string, args ...string) cmdResult {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := w.command(t, extra, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	must(t, cmd.Start())
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	var exit *exec.ExitError
	if !kill.Stop() || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", args, err, out.String(), errs.String())
	}
	return cmdResult{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// state is everything that a check may not change: tables, the log's position, and
// the streams with their content.
func (w *cmdWorld) state(t *testing.T) string {
	t.Helper()
	position := "@@gtid_executed"
	if w.srv.Flavor() == dbserver.MariaDB {
		position = "@@gtid_binlog_pos"
	}
	s := querySQL(t, w.db, "SELECT CONCAT("+position+", ' ', (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='"+w.schema+"'))")
	list := w.js.ListStreams(t.Context())
	for info := range list.Info() {
		text, err := json.Marshal([]any{info.Config, info.State.Msgs, info.State.LastSeq})
		must(t, err)
		s += "\n" + string(text)
	}
	must(t, list.Err())
	return s
}

// cmdDaemon is a running `binjet run`.
type cmdDaemon struct {
	cmd  *exec.Cmd
	url  string // of the admin server
	done chan struct{}

	mu  sync.Mutex
	log []string
}

// start runs `binjet run`, with more arguments, and returns once it serves its probes.
func (w *cmdWorld) start(t *testing.T, extra map[string]string, args ...string) *cmdDaemon {
	t.Helper()
	d := &cmdDaemon{cmd: w.command(t, extra, append([]string{"run"}, args...)...), done: make(chan struct{})}
	stderr, err := d.cmd.StderrPipe()
	must(t, err)
	must(t, d.cmd.Start())
	url := make(chan string, 1)
	go func() {
		defer close(d.done)
		d.follow(stderr, url)
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.done
		if t.Failed() {
			t.Log(d.text())
		}
	})
	select {
	case d.url = <-url:
	case <-d.done:
		t.Fatalf("run ended: %s", d.text())
	}
	return d
}

func (d *cmdDaemon) follow(stderr io.Reader, url chan<- string) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		d.mu.Lock()
		d.log = append(d.log, lines.Text())
		d.mu.Unlock()
		var line struct{ Message, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && strings.HasPrefix(line.Message, "serving ") {
			url <- line.URL
		}
	}
}

func (d *cmdDaemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.log, "\n")
}

// wait returns the exit code.
func (d *cmdDaemon) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatalf("does not end: %s", d.text())
	}
	return d.cmd.ProcessState.ExitCode()
}

func (d *cmdDaemon) stop(t *testing.T) int {
	t.Helper()
	must(t, d.cmd.Process.Signal(syscall.SIGTERM))
	return d.wait(t)
}

// get asks the admin server.
func (d *cmdDaemon) get(ctx context.Context, path string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// eventually asks until the answer has the code and holds the text.
func (d *cmdDaemon) eventually(t *testing.T, path string, code int, text string) {
	t.Helper()
	d.until(t, path, fmt.Sprintf("%d with %q", code, text), func(got int, body string) bool {
		return got == code && strings.Contains(body, text)
	})
}

// follows waits until it leads and reads the binlog. One that leads may still be in its
// start snapshot, whose rows have no transaction, and which needs more privileges.
func (d *cmdDaemon) follows(t *testing.T) {
	t.Helper()
	d.until(t, "/readyz", "that of a leader behind its snapshot", func(code int, body string) bool {
		var r struct {
			Role       string
			Checkpoint struct {
				Position string
				Snapshot *struct{}
			}
		}
		return code == 200 && json.Unmarshal([]byte(body), &r) == nil && r.Role == "leader" && r.Checkpoint.Position != "" && r.Checkpoint.Snapshot == nil
	})
}

func (d *cmdDaemon) until(t *testing.T, path, what string, is func(code int, body string) bool) {
	t.Helper()
	var got int
	var body string
	deadline, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if got, body = d.get(t.Context(), path); is(got, body) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s never is %s; at last %d %s\n%s", path, what, got, body, d.text())
		}
	}
}
