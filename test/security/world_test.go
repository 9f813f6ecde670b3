package security

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

func TestMain(m *testing.M) {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // refused logins are part of these tests
	os.Exit(testdb.Run(m))
}

// patience is for a machine that is busy with other things too.
const patience = time.Minute

// flavours runs test for each kind of server.
func flavours(t *testing.T, test func(t *testing.T, flavor dbserver.Flavor)) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			test(t, flavor)
		})
	}
}

// database is a server with a schema shop.
type database struct {
	*dbserver.Server
	root *sql.DB // of the schema
}

func startDatabase(t *testing.T, flavor dbserver.Flavor, args ...string) *database {
	t.Helper()
	srv := testdb.New(t, dbserver.Options{Flavor: flavor, Args: args})
	testdb.Create(t, srv, "shop")
	return &database{Server: srv, root: testdb.Open(t, srv.DSN("shop"))}
}

func (d *database) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := d.root.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (d *database) insert(t *testing.T, id string) {
	t.Helper()
	d.exec(t, "INSERT INTO outbox (id, topic, payload) VALUES ('"+id+"', 'orders.created', 'x')")
}

// disconnect ends the connections of a user.
func (d *database) disconnect(t *testing.T, user string) {
	t.Helper()
	rows, err := d.root.QueryContext(t.Context(), "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ?", user)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		must(t, rows.Scan(&id))
		_, _ = d.root.ExecContext(t.Context(), fmt.Sprint("KILL ", id)) // it may be gone
	}
	must(t, rows.Err())
}

// as is the DSN of another account.
func (d *database) as(user, password string) string {
	return user + ":" + password + "@tcp(" + d.Addr() + ")/shop"
}

// env is a command's environment.
type env map[string]string

func (e env) with(more env) env {
	all := env{}
	for _, layer := range []env{e, more} {
		for k, v := range layer {
			all[k] = v
		}
	}
	return all
}

// command is not yet run. Nothing of the test's environment is in its own.
func (e env) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(testdb.Command(t), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH")}
	for k, v := range e {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// run runs a command to its end; one that does not end is stopped after limit.
func (e env) run(t *testing.T, limit time.Duration, args ...string) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	cmd := e.command(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	stop := time.AfterFunc(limit, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop.Stop()
	kill := time.AfterFunc(limit+20*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// ok runs a command that has to succeed.
func (e env) ok(t *testing.T, args ...string) string {
	t.Helper()
	code, out := e.run(t, patience, args...)
	if code != 0 {
		t.Fatalf("binjet %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// daemon is a running `binjet run`.
type daemon struct {
	cmd  *exec.Cmd
	url  string // of the admin server
	done chan struct{}

	mu  sync.Mutex
	log []string
}

// start returns once the process serves its probes.
func (e env) start(t *testing.T, args ...string) *daemon {
	t.Helper()
	d := &daemon{cmd: e.with(env{"BINJET_HTTP_LISTEN": "127.0.0.1:0", "BINJET_LOG_FORMAT": "json"}).command(t, append([]string{"run"}, args...)...), done: make(chan struct{})}
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
		t.Fatalf("run ended:\n%s", d.text())
	}
	return d
}

func (d *daemon) follow(stderr io.Reader, url chan<- string) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		d.mu.Lock()
		d.log = append(d.log, lines.Text())
		d.mu.Unlock()
		var line struct{ Message, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && strings.HasPrefix(line.Message, "serving ") && line.URL != "" {
			url <- line.URL
		}
	}
}

func (d *daemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.log, "\n")
}

func (d *daemon) stop(t *testing.T) {
	t.Helper()
	must(t, d.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatalf("does not end:\n%s", d.text())
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d:\n%s", code, d.text())
	}
}

// says waits for a line of the log.
func (d *daemon) says(t *testing.T, words string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in the log", words), d.text, func() bool { return strings.Contains(d.text(), words) })
}

// leads waits until it does.
func (d *daemon) leads(t *testing.T) {
	t.Helper()
	d.answers(t, http.StatusOK, `"role": "leader"`)
}

// answers waits for an answer of /readyz.
func (d *daemon) answers(t *testing.T, code int, words string) {
	t.Helper()
	var last string
	eventually(t, fmt.Sprintf("%d with %q at /readyz", code, words), func() string { return last + "\n" + d.text() }, func() bool {
		got, body := d.get(t.Context(), "/readyz")
		last = body
		return got == code && strings.Contains(body, words)
	})
}

func (d *daemon) get(ctx context.Context, path string) (int, string) {
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

// eventually polls cond; else is what is known when it never comes true.
func eventually(t *testing.T, what string, known func() string, cond func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long for %s:\n%s", what, known())
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
