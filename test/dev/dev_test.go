// Package dev tests binjet dev as a person uses it. It is a package of its own so
// that it runs beside the others.
package dev

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

const patience = time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// session is a running binjet dev, and what it said about itself.
type session struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	said struct {
		Directory    string `json:"directory"`
		Config       string `json:"config"`
		DSN          string `json:"dsn"`
		NATSURL      string `json:"nats_url"`
		DashboardURL string `json:"dashboard_url"`
	}
	log safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// tool is the command in a directory of a test's.
type tool struct{ bin, dir string }

func TestMain(m *testing.M) { os.Exit(testdb.Run(m)) }

func newTool(t *testing.T) tool { return tool{testdb.Command(t), t.TempDir()} }

// command runs in a directory of the test's. Its environment names a database that is
// not meant.
func (x tool) command(args ...string) *exec.Cmd {
	cmd := exec.Command(x.bin, args...)
	cmd.Dir = x.dir
	cmd.Env = append(os.Environ(), "BINJET_SOURCE_DSN=root@tcp(production.invalid:3306)/x", "BINJET_NATS_URL=nats://production.invalid:4222")
	return cmd
}

// start returns once it is up.
func (x tool) start(t *testing.T, args ...string) *session {
	t.Helper()
	s := &session{t: t, cmd: x.command(append([]string{"dev", "-o", "json", "--http-listen", "127.0.0.1:0"}, args...)...), done: make(chan struct{})}
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	must(t, err)
	must(t, s.cmd.Start())
	up := make(chan error, 1)
	go func() {
		defer close(s.done)
		dec := json.NewDecoder(out)
		up <- dec.Decode(&s.said)
		_, _ = io.Copy(io.Discard, out)
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	select {
	case err := <-up:
		if err != nil {
			t.Fatalf("it does not come up: %v\n%s", err, s.log.String())
		}
	case <-time.After(3 * time.Minute): // the first one fetches a server
		t.Fatal("it does not come up")
	}
	return s
}

// interrupt is Ctrl-C; it has to end well.
func (s *session) interrupt() {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(syscall.SIGINT))
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatal("Ctrl-C does not end it")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("Ctrl-C ends it with %d", code)
	}
}

// insert is what a service does.
func (s *session) insert(id string) {
	s.t.Helper()
	db, err := sql.Open("mysql", s.said.DSN)
	must(s.t, err)
	defer db.Close()
	out, err := producer.New(producer.Config{})
	must(s.t, err)
	must(s.t, producer.InTx(s.t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		return out.Insert(ctx, tx, &binjet.Message{ID: id, Topic: "orders.created", ContentType: "application/json", Payload: []byte(`{"total":1}`)})
	}))
}

// arrived are the IDs on the stream once there are n.
func (s *session) arrived(n int) (ids []string) {
	s.t.Helper()
	nc, err := nats.Connect(s.said.NATSURL)
	must(s.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	all, err := js.OrderedConsumer(ctx, binjet.DefaultStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{binjet.DefaultSubjectPrefix + ".>"}})
	must(s.t, err)
	list, err := all.Messages()
	must(s.t, err)
	defer list.Stop()
	for len(ids) < n {
		m, err := list.Next(jetstream.NextContext(ctx))
		must(s.t, err)
		ids = append(ids, m.Headers().Get(binjet.HeaderID))
	}
	return ids
}

func (s *session) empty() bool {
	s.t.Helper()
	nc, err := nats.Connect(s.said.NATSURL)
	must(s.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(s.t, err)
	st, err := js.Stream(s.t.Context(), binjet.DefaultStream)
	must(s.t, err)
	_, err = st.GetMsg(s.t.Context(), 1, jetstream.WithGetMsgSubject(binjet.DefaultSubjectPrefix+".>"))
	return errors.Is(err, jetstream.ErrMsgNotFound)
}

// TestDev: up, an event arrives, Ctrl-C, up again with all that was there, and --fresh
// has nothing of it.
func TestDev(t *testing.T) {
	x := newTool(t)
	s := x.start(t)
	s.insert("one")
	if ids := s.arrived(1); ids[0] != "one" {
		t.Errorf("%v arrived", ids)
	}
	res, err := http.Get(s.said.DashboardURL)
	must(t, err)
	page, err := io.ReadAll(res.Body)
	must(t, errors.Join(err, res.Body.Close()))
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != 200 || !bytes.Contains(page, []byte("orders.created")) {
		t.Errorf("the dashboard: %s\n%s", res.Status, page)
	}
	status := exec.Command(x.bin, "-c", s.said.Config, "status", "-o", "json")
	if out, err := status.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"exists": true`)) {
		t.Errorf("status by its configuration: %v\n%s", err, out)
	}
	refused(t, x, "another binjet dev uses", "dev")
	s.interrupt()

	again := x.start(t)
	if again.said.DSN != s.said.DSN || again.said.NATSURL != s.said.NATSURL {
		t.Errorf("the connection strings were %+v and are %+v", s.said, again.said)
	}
	again.insert("two")
	if ids := again.arrived(2); strings.Join(ids, " ") != "one two" {
		t.Errorf("%v are there after a restart", ids)
	}
	again.interrupt()

	refused(t, x, "holds a MySQL, not a MariaDB", "dev", "--database", "mariadb", "--http-listen", "127.0.0.1:0")
	fresh := x.start(t, "--fresh", "--database", "mariadb")
	if !fresh.empty() {
		t.Error("--fresh keeps messages")
	}
	fresh.insert("three")
	if ids := fresh.arrived(1); ids[0] != "three" {
		t.Errorf("%v arrived", ids)
	}
	fresh.interrupt()
}

// refused is a start that says why it does not.
func refused(t *testing.T, x tool, why string, args ...string) {
	t.Helper()
	out, err := x.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), why) {
		t.Errorf("%v: %v, without %q:\n%s", args, err, why, out)
	}
}

// TestDevOnOurs: --dsn is the server that is used, and --fresh leaves it alone; a
// database that goes away ends everything, and is said.
func TestDevOnOurs(t *testing.T) {
	srv := testdb.New(t, dbserver.Options{})
	testdb.Create(t, srv, "mine")
	x := newTool(t)
	s := x.start(t, "--dsn", srv.DSN("mine"))
	if s.said.DSN != srv.DSN("mine") {
		t.Errorf("DSN %s", s.said.DSN)
	}
	s.insert("one")
	s.arrived(1)
	s.interrupt()
	again := x.start(t, "--fresh", "--dsn", srv.DSN("mine"))
	if ids := again.arrived(1); ids[0] != "one" { // by the snapshot of the table, which is still there
		t.Errorf("%v arrived", ids)
	}
	again.interrupt()
}

// TestDevDatabaseDies: everything ends, and the last line says why.
func TestDevDatabaseDies(t *testing.T) {
	x := newTool(t)
	s := x.start(t)
	pid, err := os.ReadFile(filepath.Join(s.said.Directory, "mysql", "server.pid"))
	must(t, err)
	must(t, exec.Command("kill", "-KILL", strings.TrimSpace(string(pid))).Run())
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Fatal("it goes on without its database")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(s.log.String(), "ended by itself") {
		t.Errorf("exit %d:\n%s", code, s.log.String())
	}
}
