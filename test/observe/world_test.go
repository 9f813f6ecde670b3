package observe

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a database, a broker, and a streamer with no more privileges than it needs.
type world struct {
	*testing.T
	db  *sql.DB
	js  jetstream.JetStream
	url string // of the admin server
}

func newWorld(t *testing.T, flavor dbserver.Flavor, otlp string) *world {
	t.Helper()
	srv := testdb.New(t, dbserver.Options{Flavor: flavor})
	w := &world{T: t, db: testdb.Open(t, srv.DSN(""))}
	w.db.SetMaxOpenConns(1) // USE holds for it
	for _, statement := range []string{
		"CREATE DATABASE shop", "USE shop", "CREATE USER streamer@'%' IDENTIFIED BY 's'",
		"GRANT REPLICATION SLAVE ON *.* TO streamer@'%'", "GRANT SELECT, LOCK TABLES ON shop.* TO streamer@'%'",
		"SET GLOBAL binlog_expire_logs_seconds = 86400",
	} {
		_, err := w.db.ExecContext(t.Context(), statement)
		must(t, err)
	}
	broker := natstest.Start(t)
	var err error
	w.js, err = jetstream.New(broker.Connect(t))
	must(t, err)
	bin := testdb.Command(t)
	env := []string{"BINJET_NATS_URL=" + broker.URL(), "BINJET_HTTP_LISTEN=127.0.0.1:0", "BINJET_TRACING_ENDPOINT=" + otlp, "OTEL_BSP_SCHEDULE_DELAY=50"}
	init := exec.Command(bin, "init")
	init.Env = append(env, "BINJET_SOURCE_DSN="+srv.DSN("shop"))
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	w.run(bin, append(env, "BINJET_SOURCE_DSN=streamer:s@tcp("+srv.Addr()+")/shop"))
	return w
}

// run starts the streamer, and returns once it serves its probes.
func (w *world) run(bin string, env []string) {
	w.Helper()
	cmd := exec.Command(bin, "run")
	cmd.Env = env
	stderr, err := cmd.StderrPipe()
	must(w.T, err)
	must(w.T, cmd.Start())
	url, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			w.Log(lines.Text())
			var line struct{ Message, URL string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && strings.HasPrefix(line.Message, "serving ") {
				url <- line.URL
			}
		}
		_ = cmd.Wait()
	}()
	w.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			w.Errorf("the streamer ended with %d", code)
		}
	})
	select {
	case w.url = <-url:
	case <-done:
		w.Fatal("the streamer ended")
	}
}

func (w *world) get(path string) string {
	req, err := http.NewRequestWithContext(context.WithoutCancel(w.Context()), http.MethodGet, w.url+path, nil)
	must(w.T, err)
	res, err := http.DefaultClient.Do(req)
	must(w.T, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(w.T, err)
	return string(body)
}

// follows tells whether the streamer reads the binlog. Before that it may be in its snapshot,
// whose rows have no time of a commit.
func (w *world) follows() bool {
	w.Helper()
	var r struct {
		Checkpoint struct {
			Position string
			Snapshot *struct{}
		}
	}
	must(w.T, json.Unmarshal([]byte(w.get("/readyz")), &r))
	return r.Checkpoint.Position != "" && r.Checkpoint.Snapshot == nil
}

func (w *world) eventually(what string, is func() bool) {
	w.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("waited too long for: %s\n%s\n%s", what, w.get("/readyz"), w.get("/metrics"))
		}
	}
}
