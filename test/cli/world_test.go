package cli

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/test/internal/testdb"
)

func TestMain(m *testing.M) { os.Exit(testdb.Run(m)) }

// server is a database server of a flavour.
type server struct {
	*dbserver.Server
	db *sql.DB
}

func startServer(t *testing.T, flavor dbserver.Flavor) *server {
	t.Helper()
	srv := testdb.New(t, dbserver.Options{Flavor: flavor})
	return &server{srv, testdb.Open(t, srv.DSN(""))}
}

// world is a database of its own and a broker of its own.
type world struct {
	t      *testing.T
	bin    string
	dir    string
	srv    *server
	schema string
	nats   *natstest.Server
	js     jetstream.JetStream
	env    []string
}

// newWorld is one with all that init makes.
func newWorld(t *testing.T, bin string, srv *server, schema string) *world {
	t.Helper()
	w := bareWorld(t, bin, srv, schema)
	w.ok("init")
	return w
}

func bareWorld(t *testing.T, bin string, srv *server, schema string) *world {
	t.Helper()
	w := &world{t: t, bin: bin, dir: t.TempDir(), srv: srv, schema: schema, nats: natstest.Start(t)}
	var err error
	w.js, err = jetstream.New(w.nats.Connect(t))
	must(t, err)
	testdb.Create(t, srv.Server, schema)
	w.env = []string{"BINJET_SOURCE_DSN=" + srv.DSN(schema), "BINJET_NATS_URL=" + w.nats.URL(), "BINJET_HTTP_LISTEN=127.0.0.1:0",
		"BINJET_RELAY_HEARTBEAT=100ms", "HOME=" + os.Getenv("HOME"), "PATH=" + filepath.Dir(bin) + ":" + os.Getenv("PATH")}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) exec(query string) {
	w.t.Helper()
	if _, err := w.srv.db.ExecContext(w.t.Context(), query); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

// insert commits a transaction for each ID.
func (w *world) insert(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.exec(fmt.Sprintf(`INSERT INTO %s.outbox (id, topic, message_key, headers, payload) VALUES ('%s', 'orders.created', 'k', '{"Content-Type":"application/json"}', '{"id":"%s"}')`, w.schema, id, id))
	}
}

type result struct {
	code     int
	out, err string
}

func (r result) String() string { return fmt.Sprintf("exit %d\n%s%s", r.code, r.out, r.err) }

func (w *world) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

// run runs the command to its end, which is a SIGINT after some time where there is one.
func (w *world) run(interrupt time.Duration, name string, args ...string) result {
	w.t.Helper()
	cmd := w.command(name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	must(w.t, cmd.Start())
	if interrupt > 0 {
		defer time.AfterFunc(interrupt, func() { _ = cmd.Process.Signal(os.Interrupt) }).Stop()
	}
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	var exit *exec.ExitError
	if !kill.Stop() || err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%s %s: %v\n%s%s", name, args, err, &out, &errs)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func (w *world) binjet(args ...string) result {
	w.t.Helper()
	return w.run(0, w.bin, args...)
}

// ok runs the command, which has to succeed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	r := w.binjet(args...)
	if r.code != 0 {
		w.t.Fatalf("binjet %s: %s", strings.Join(args, " "), r)
	}
	return r.out
}

// wants runs the command and looks at how it ends and what it says.
func (w *world) wants(code int, words []string, args ...string) result {
	w.t.Helper()
	r := w.binjet(args...)
	if r.code != code {
		w.t.Errorf("binjet %s: want exit %d: %s", strings.Join(args, " "), code, r)
	}
	all := strings.Join(strings.Fields(r.out+r.err), " ")
	for _, word := range words {
		if !strings.Contains(all, word) {
			w.t.Errorf("binjet %s: no %q in: %s", strings.Join(args, " "), word, r)
		}
	}
	return r
}

// relay starts `binjet run`; the function it returns stops it cleanly.
func (w *world) relay() (stop func()) {
	w.t.Helper()
	log, err := os.Create(filepath.Join(w.dir, "run.log"))
	must(w.t, err)
	cmd := w.command(w.bin, "run")
	cmd.Stderr = log
	must(w.t, cmd.Start())
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		defer log.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || w.t.Failed() {
			w.t.Errorf("run: %v\n%s", err, w.log())
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// log is what the newest relay has logged.
func (w *world) log() string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "run.log"))
	must(w.t, err)
	return string(text)
}

// admin is the address of the relay's admin server, once it leads.
func (w *world) admin() (url string) {
	w.t.Helper()
	w.eventually("a leader", func() bool { return strings.Contains(w.log(), `"leading"`) })
	for line := range strings.Lines(w.log()) {
		var said struct{ Message, URL string }
		if json.Unmarshal([]byte(line), &said) == nil && strings.HasPrefix(said.Message, "serving ") {
			url = said.URL
		}
	}
	return url
}

// eventually asks until the condition holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("waited too long for %s", what)
		}
	}
}

// published waits until the stream holds so many events, and returns their IDs.
func (w *world) published(n int) []string {
	w.t.Helper()
	var ids []string
	w.eventually(fmt.Sprintf("%d events", n), func() bool {
		r := w.binjet("tail", "--all", "--no-follow", "-o", "json")
		ids = nil
		for line := range strings.Lines(r.out) {
			var e struct{ ID string }
			must(w.t, json.Unmarshal([]byte(line), &e))
			ids = append(ids, e.ID)
		}
		return len(ids) >= n
	})
	return ids
}

// covered waits until the start snapshot is over and the checkpoint counts so many events,
// and returns its position: events can be in the stream before it.
func (w *world) covered(n int) (position string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("a checkpoint behind %d events", n), func() bool {
		var held struct {
			Checkpoint struct {
				Resume   string
				Snapshot *struct{}
				Count    int
			}
		}
		r := w.binjet("position", "show", "-o", "json")
		if r.code != 0 || json.Unmarshal([]byte(r.out), &held) != nil {
			return false
		}
		position = held.Checkpoint.Resume
		return position != "" && held.Checkpoint.Snapshot == nil && held.Checkpoint.Count >= n
	})
	return position
}

// eachFlavor runs the test on both, with a world of its own for each part.
func eachFlavor(t *testing.T, parts map[string]func(*world)) {
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, flavor)
			for name, part := range parts {
				t.Run(name, func(t *testing.T) { part(newWorld(t, bin, srv, "cli_"+name)) })
			}
		})
	}
}
