package faults

import (
	"context"
	"database/sql"
	"fmt"
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
	"github.com/binjet/binjet/internal/leastprivilege"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/test/internal/testdb"
)

func TestMain(m *testing.M) {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // lost connections are part of these tests
	os.Exit(testdb.Run(m))
}

// heartbeat of every streamer here: a take-over after a kill takes three.
const heartbeat = 150 * time.Millisecond

// world is a database server, a broker and any number of streamers between them.
// The streamers have the accounts of docs/security.md, and no right beyond these.
type world struct {
	t    *testing.T
	srv  *dbserver.Server
	nats *natstest.Server
	db   *sql.DB
	env  []string
}

// flavours runs test on both, in parallel: most of the time each waits for a take-over.
func flavours(t *testing.T, test func(t *testing.T, flavor dbserver.Flavor)) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) { t.Parallel(); test(t, flavor) })
	}
}

func newWorld(t *testing.T, flavor dbserver.Flavor, env ...string) *world {
	t.Helper()
	srv := testdb.New(t, dbserver.Options{Flavor: flavor, Durable: true})
	w := &world{t: t, srv: srv, nats: natstest.Start(t, leastprivilege.OpenBroker(t))}
	testdb.Create(t, srv, "shop")
	w.db = open(t, srv.DSN("shop"))
	outbox, err := binjet.OutboxSQL("outbox")
	if err != nil {
		t.Fatal(err)
	}
	w.exec(outbox)
	w.init()
	for _, grant := range leastprivilege.Grants(t, "streamer") {
		w.exec(grant)
	}
	w.env = append(leastprivilege.Env("streamer"),
		"BINJET_STREAM_MANAGE=false", "BINJET_SOURCE_DSN=binjet:"+leastprivilege.Password+"@tcp("+srv.Addr()+")/shop",
		"BINJET_SOURCE_NAME=shop", "BINJET_SOURCE_START=earliest",
		"BINJET_NATS_URL="+w.nats.URL(), "BINJET_HTTP_LISTEN=", "BINJET_LOG_FORMAT=json",
		"BINJET_RELAY_HEARTBEAT="+heartbeat.String(), "BINJET_RELAY_COMMIT_TIMEOUT=500ms")
	w.env = append(w.env, env...)
	return w
}

// init makes the streams, which the streamers have no right to.
func (w *world) init() {
	w.t.Helper()
	cmd := exec.Command(testdb.Command(w.t), "init")
	cmd.Env = append(os.Environ(), "BINJET_SOURCE_NAME=shop", "BINJET_SOURCE_DSN="+w.srv.DSN("shop"), "BINJET_NATS_URL="+w.nats.URL())
	cmd.Dir = w.t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("init: %v\n%s", err, out)
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db := testdb.Open(t, dsn)
	db.SetMaxIdleConns(20)
	return db
}

func (w *world) exec(query string) {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), query); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

// process is one running streamer.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	once sync.Once
}

// start runs a streamer. It dies with the test at the latest.
func (w *world) start() *process {
	w.t.Helper()
	f, err := os.CreateTemp(w.t.TempDir(), "streamer-*.log")
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	p := &process{cmd: exec.Command(testdb.Command(w.t), "run"), log: f.Name(), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), w.env...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.Dir = w.t.TempDir()
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { defer close(p.done); _ = p.cmd.Wait() }()
	w.t.Cleanup(func() {
		p.kill()
		if w.t.Failed() {
			w.t.Logf("streamer %d said:\n%s", p.cmd.Process.Pid, tail(p.log))
		}
	})
	return p
}

func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

func (p *process) kill() {
	p.once.Do(func() { p.signal(syscall.SIGKILL) })
	<-p.done
}

// stop ends it cleanly and returns its exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("the streamer did not stop:\n%s", tail(p.log))
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(data) > 6000 {
		data = data[len(data)-6000:]
	}
	return string(data)
}

// eventually polls cond, for at most as long as a fault may last on a slow machine.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long for: %s", what)
		}
	}
}

// held reads the checkpoint; ok is false while it can't be read.
func held(nc *nats.Conn) (store.Held, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	h, err := store.New(nc, binjet.DefaultStream, "shop").Load(ctx)
	return h, err == nil
}

// streamEvent is an event as plain nats.go gives it.
type streamEvent struct {
	seq             uint64
	id, tx, txIndex string
	alone           bool // it went by itself, as its headers show
}

// readStream returns the source's events in stream order.
func readStream(t *testing.T, nc *nats.Conn) []streamEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.OrderedConsumer(ctx, binjet.DefaultStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"outbox.>"}, HeadersOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(ctx, binjet.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.GetLastMsgForSubject(ctx, "outbox.>")
	if err != nil {
		t.Fatal(err)
	}
	var events []streamEvent
	for len(events) == 0 || events[len(events)-1].seq < last.Sequence {
		batch, err := c.Fetch(1000, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			h := msg.Headers()
			events = append(events, streamEvent{meta.Sequence.Stream, h.Get(binjet.HeaderID), h.Get(binjet.HeaderTx), h.Get(binjet.HeaderTxIndex),
				h.Get("Nats-Expected-Last-Subject-Sequence-Subject") != ""})
		}
		if err := ctx.Err(); err != nil {
			t.Fatalf("read the stream: %v after %d events", err, len(events))
		}
	}
	return events
}

func (e streamEvent) String() string {
	return fmt.Sprintf("%s (seq %d, tx %s %s)", e.id, e.seq, e.tx, e.txIndex)
}

// ledBy reports whether the process wrote the checkpoint: instances are named host:pid:random.
func ledBy(h store.Held, pid int) bool {
	return strings.Contains(h.Instance, fmt.Sprintf(":%d:", pid))
}
