package schema

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/test/internal/testdb"
)

// patience is for a machine that is busy with other things too.
const patience = time.Minute

var schemas atomic.Int32

func TestMain(m *testing.M) { os.Exit(testdb.Run(m)) }

// world is a database of its own on a server of either flavour.
type world struct {
	flavor dbserver.Flavor
	schema string
	db     *sql.DB  // root, in the schema
	dsn    string   // of the command
	env    []string // and more of its environment
	nats   *natstest.Server
}

// eachFlavor runs the test on both flavours, in parallel.
func eachFlavor(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	for _, flavor := range testdb.Flavors() {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, flavor))
		})
	}
}

func newWorld(t *testing.T, flavor dbserver.Flavor) *world {
	t.Helper()
	s := testdb.Shared(t, flavor)
	w := &world{flavor: flavor, schema: fmt.Sprintf("schema%d", schemas.Add(1))}
	w.dsn = s.DSN(w.schema)
	testdb.Create(t, s, w.schema)
	w.db = testdb.Open(t, w.dsn)
	if flavor == dbserver.MariaDB {
		if _, err := w.db.ExecContext(t.Context(), "INSTALL SONAME 'ha_blackhole'"); err != nil && !strings.Contains(err.Error(), "already") {
			t.Fatal(err)
		}
	}
	return w
}

// broker starts one for the commands that need it.
func (w *world) broker(t *testing.T) jetstream.JetStream {
	t.Helper()
	w.nats = natstest.Start(t)
	js, err := jetstream.New(w.nats.Connect(t))
	must(t, err)
	return js
}

func (w *world) exec(t *testing.T, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if _, err := w.db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func (w *world) query(t *testing.T, q string) (s string) {
	t.Helper()
	if err := w.db.QueryRowContext(t.Context(), q).Scan(&s); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return s
}

// tables is what the schema holds, down to each table's definition.
func (w *world) tables(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	rows, err := w.db.QueryContext(t.Context(), "SHOW TABLES")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var name, definition string
		must(t, rows.Scan(&name))
		must(t, w.db.QueryRowContext(t.Context(), "SHOW CREATE TABLE `"+name+"`").Scan(&name, &definition))
		fmt.Fprintf(&text, "%s\n", definition)
	}
	must(t, rows.Err())
	return text.String()
}

type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

func (w *world) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(testdb.Command(t), args...)
	cmd.Dir = t.TempDir()
	url := "nats://127.0.0.1:1" // nobody
	if w.nats != nil {
		url = w.nats.URL()
	}
	cmd.Env = append([]string{"BINJET_SOURCE_DSN=" + w.dsn, "BINJET_NATS_URL=" + url, "BINJET_HTTP_LISTEN=", "BINJET_RELAY_HEARTBEAT=200ms",
		"HOME=" + os.Getenv("HOME")}, w.env...)
	return cmd
}

// binjet runs a command to its end.
func (w *world) binjet(t *testing.T, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := w.command(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	must(t, cmd.Start())
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	var exit *exec.ExitError
	if !kill.Stop() || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", args, err, &out, &errs)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want runs a command that must end with a code and say words.
func (w *world) want(t *testing.T, code int, words []string, args ...string) result {
	t.Helper()
	r := w.binjet(t, args...)
	if r.code != code {
		t.Fatalf("%s: want exit %d: %s", args, code, r)
	}
	for _, word := range words {
		if !strings.Contains(r.stdout+r.stderr, word) {
			t.Fatalf("%s: no %q: %s", args, word, r)
		}
	}
	return r
}

// stream is a `binjet run` that ends with the test, or by the returned function.
func (w *world) stream(t *testing.T) (stop func()) {
	t.Helper()
	var errs bytes.Buffer
	cmd := w.command(t, "run")
	cmd.Stderr = &errs
	must(t, cmd.Start())
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("run: %v\n%s", err, &errs)
		}
	}
	t.Cleanup(stop)
	return stop
}

// check is one line of a validation.
type check struct {
	Name, Detail, Fix, Warning string
	OK                         bool
}

// validate returns what does not pass of the one table, by name.
func (w *world) validate(t *testing.T, args ...string) map[string]check {
	t.Helper()
	for _, faults := range w.validateEach(t, args...) {
		return faults
	}
	return nil
}

// validateEach returns what does not pass, by table and name.
func (w *world) validateEach(t *testing.T, args ...string) map[string]map[string]check {
	t.Helper()
	r := w.binjet(t, append([]string{"schema", "validate", "-o", "json"}, args...)...)
	var report struct {
		Tables []struct {
			Name   string
			Checks []check
		}
		Failed int
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != min(report.Failed, 1) {
		t.Fatalf("%v: %s", err, r)
	}
	faults := make(map[string]map[string]check)
	for _, table := range report.Tables {
		for _, c := range table.Checks {
			if c.OK {
				continue
			}
			if faults[table.Name] == nil {
				faults[table.Name] = make(map[string]check)
			}
			faults[table.Name][c.Name] = c
		}
	}
	return faults
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
