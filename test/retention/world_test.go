package retention

import (
	"context"
	"database/sql"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/test/internal/testdb"
)

func TestMain(m *testing.M) {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // lost connections are part of these tests
	os.Exit(testdb.Run(m))
}

const heartbeat = 150 * time.Millisecond

// world is a database server with an outbox, a broker, and what runs between them.
type world struct {
	t    *testing.T
	srv  *dbserver.Server
	nats *natstest.Server
	nc   *nats.Conn
	db   *sql.DB
	env  []string
}

// eachFlavor runs the test on both flavours, in parallel.
func eachFlavor(t *testing.T, test func(t *testing.T, flavor dbserver.Flavor)) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(flavor.String(), func(t *testing.T) { t.Parallel(); test(t, flavor) })
	}
}

func newWorld(t *testing.T, flavor dbserver.Flavor, args ...string) *world {
	t.Helper()
	srv := testdb.New(t, dbserver.Options{Flavor: flavor, Args: args})
	w := &world{t: t, srv: srv, nats: natstest.Start(t)}
	w.nc = w.nats.Connect(t)
	testdb.Create(t, srv, "shop")
	w.db = open(t, srv.DSN("shop"))
	create, err := binjet.OutboxSQL("outbox")
	must(t, err)
	w.exec(create)
	w.env = []string{
		"BINJET_SOURCE_NAME=shop", "BINJET_SOURCE_START=earliest", "BINJET_SOURCE_DSN=" + srv.DSN("shop"),
		"BINJET_NATS_URL=" + w.nats.URL(), "BINJET_HTTP_LISTEN=", "BINJET_LOG_FORMAT=json",
		"BINJET_RELAY_HEARTBEAT=" + heartbeat.String(), "BINJET_RELAY_COMMIT_TIMEOUT=2s",
	}
	return w
}

func open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db := testdb.Open(t, dsn)
	db.SetMaxIdleConns(20)
	return db
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), query, args...); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

// tableIDs are those of the rows that are there now.
func (w *world) tableIDs() map[string]bool {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), "SELECT id FROM outbox")
	must(w.t, err)
	defer rows.Close()
	ids := map[string]bool{}
	for rows.Next() {
		var id string
		must(w.t, rows.Scan(&id))
		ids[id] = true
	}
	must(w.t, rows.Err())
	return ids
}

// process is one running command.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	once sync.Once
}

// start runs `binjet run`. It dies with the test at the latest.
func (w *world) start(env ...string) *process {
	w.t.Helper()
	f, err := os.CreateTemp(w.t.TempDir(), "streamer-*.log")
	must(w.t, err)
	defer f.Close()
	p := &process{cmd: exec.Command(testdb.Command(w.t), "run"), log: f.Name(), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), w.env...), env...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = f, f, w.t.TempDir()
	must(w.t, p.cmd.Start())
	go func() { defer close(p.done); _ = p.cmd.Wait() }()
	w.t.Cleanup(func() {
		p.kill()
		if w.t.Failed() {
			w.t.Logf("streamer %d said:\n%s", p.cmd.Process.Pid, p.said())
		}
	})
	return p
}

func (p *process) kill() {
	p.once.Do(func() { _ = p.cmd.Process.Signal(syscall.SIGKILL) })
	<-p.done
}

// stop ends it cleanly.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("the streamer did not stop:\n%s", p.said())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("a clean stop ended with code %d:\n%s", code, p.said())
	}
}

func (p *process) said() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-8000):])
}

// run runs a command of binjet to its end.
func (w *world) run(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, testdb.Command(w.t), args...)
	var out, errs strings.Builder
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(os.Environ(), w.env...), w.t.TempDir(), &out, &errs
	if err := cmd.Run(); ctx.Err() != nil {
		w.t.Fatalf("binjet %v: %v\n%s%s", args, err, &out, &errs)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// count is how many events the stream's checkpoint counts.
func (w *world) count(ctx context.Context) uint64 {
	held, err := store.New(w.nc, binjet.DefaultStream, "shop").Load(ctx)
	if err != nil {
		return 0
	}
	return held.Count
}

// streamIDs are those of the events in the stream, and how often each is there.
func (w *world) streamIDs() map[string]int {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	js, err := jetstream.New(w.nc)
	must(w.t, err)
	c, err := js.OrderedConsumer(ctx, binjet.DefaultStream, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	must(w.t, err)
	s, err := js.Stream(ctx, binjet.DefaultStream)
	must(w.t, err)
	info, err := s.Info(ctx)
	must(w.t, err)
	messages, err := c.Messages()
	must(w.t, err)
	defer messages.Stop()
	ids := map[string]int{}
	for seq := uint64(0); seq < info.State.LastSeq; {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		must(w.t, err)
		meta, err := msg.Metadata()
		must(w.t, err)
		seq = meta.Sequence.Stream
		if id := msg.Headers().Get(binjet.HeaderID); id != "" {
			ids[id]++
		}
	}
	return ids
}

// eventually polls, for as long as a slow machine may take.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(90 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
