package order

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/test/internal/testdb"
)

// patience is for a machine that is busy with other things too.
const patience = 2 * time.Minute

// world is a database for effects, a broker with a stream, and members.
type world struct {
	t          *testing.T
	partitions int
	keys       int
	nats       *natstest.Server
	js         jetstream.JetStream
	db         *sql.DB
	env        []string
	members    []*process
}

func newWorld(t *testing.T, flavor dbserver.Flavor, partitions, keys int) *world {
	t.Helper()
	w := &world{t: t, partitions: partitions, keys: keys, nats: natstest.Start(t)}
	w.openDB(flavor)
	nc := w.nats.Connect(t)
	var err error
	w.js, err = jetstream.New(nc)
	must(t, err)
	_, err = w.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "OUTBOX", Subjects: []string{"outbox.>"}, Metadata: map[string]string{binjet.MetadataPartitions: fmt.Sprint(partitions)},
	})
	must(t, err)
	return w
}

// openDB makes the tables, and the members' environment.
func (w *world) openDB(flavor dbserver.Flavor) {
	t := w.t
	srv := testdb.New(t, dbserver.Options{Flavor: flavor})
	driver, dsn, dialect, place := "mysql", srv.DSN(""), inbox.MySQL, []string{"?", "?", "?"}
	if flavor == dbserver.PostgreSQL {
		driver, dialect, place = "pgx", inbox.PostgreSQL, []string{"$1", "$2", "$3"}
	} else {
		testdb.Create(t, srv, "effects")
		dsn = srv.DSN("effects")
	}
	var err error
	w.db, err = sql.Open(driver, dsn)
	must(t, err)
	t.Cleanup(func() { _ = w.db.Close() })
	in, err := inbox.NewSQL(inbox.SQLConfig{Dialect: dialect})
	must(t, err)
	must(t, in.EnsureSchema(t.Context(), w.db))
	w.exec("CREATE TABLE last (k VARCHAR(64) PRIMARY KEY, n INT NOT NULL)")
	w.exec("CREATE TABLE effects (id VARCHAR(64) PRIMARY KEY, seq BIGINT NOT NULL)")
	w.exec("CREATE TABLE violations (id VARCHAR(64) NOT NULL, what VARCHAR(255) NOT NULL)")
	for k := range w.keys {
		w.exec(fmt.Sprintf("INSERT INTO last VALUES ('k%d', -1)", k))
	}
	sql := func(format string) string { return fmt.Sprintf(format, place[0], place[1], place[2]) }
	w.env = append(os.Environ(), memberEnv+"=1", "NATS="+w.nats.URL(), "DRIVER="+driver, "DSN="+dsn, fmt.Sprintf("DIALECT=%d", int(dialect)),
		"NEXT="+sql("UPDATE last SET n = %s WHERE k = %s AND n = %s"),
		"INSERT="+strings.TrimSuffix(sql("INSERT INTO effects (id, seq) VALUES (%s, %s)--%s"), "--"+place[2]),
		"VIOLATION="+strings.TrimSuffix(sql("INSERT INTO violations (id, what) VALUES (%s, %s)--%s"), "--"+place[2]),
	)
}

func (w *world) exec(query string) {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), query); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

func (w *world) count(query string) (n int) {
	w.t.Helper()
	if err := w.db.QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// process is one member.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func (w *world) join() *process {
	w.t.Helper()
	f, err := os.CreateTemp(w.t.TempDir(), "member-*.log")
	must(w.t, err)
	defer f.Close()
	p := &process{cmd: exec.Command(os.Args[0]), log: f.Name(), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = w.env, f, f, w.t.TempDir()
	must(w.t, p.cmd.Start())
	go func() { defer close(p.done); _ = p.cmd.Wait() }()
	w.t.Cleanup(func() {
		p.kill()
		if w.t.Failed() {
			data, _ := os.ReadFile(p.log)
			w.t.Logf("member %d said:\n%s", p.cmd.Process.Pid, data[max(0, len(data)-4000):])
		}
	})
	w.members = append(w.members, p)
	return p
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// memberIsUp is what a member says once it can be asked to leave: before, SIGTERM kills it.
const memberIsUp = "up"

// leave ends a member in good order.
func (w *world) leave(p *process) {
	w.t.Helper()
	w.eventually("a member that can be asked to leave", func() bool {
		said, _ := os.ReadFile(p.log)
		return strings.HasPrefix(string(said), memberIsUp+"\n")
	})
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		w.t.Fatal("a member does not leave")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		w.t.Errorf("a member left with code %d", code)
	}
}

// load publishes rounds of one message for each key until it is asked how many
// there were. Some are published again later, as a relay would after a lost tail.
type load struct {
	over chan struct{}
	n    chan int
	once sync.Once
	sent int
}

func (w *world) load() *load {
	l := &load{over: make(chan struct{}), n: make(chan int, 1)}
	go func() {
		var again []*nats.Msg
		for i := 0; ; i++ {
			select {
			case <-l.over:
				l.n <- i
				return
			case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
			}
			if w.behind(i) {
				i--
				continue
			}
			for k := range w.keys {
				m := w.message(fmt.Sprint("k", k), i)
				w.publish(m)
				if rand.IntN(10) == 0 {
					again = append(again, m)
				}
			}
			for len(again) > w.keys { // in whatever order
				at := rand.IntN(len(again))
				w.publish(again[at])
				again[at] = again[len(again)-1]
				again = again[:len(again)-1]
			}
		}
	}()
	w.t.Cleanup(func() { l.end() })
	return l
}

// behind reports whether so many rounds are too many for the members, so that a
// slow machine has less to do at the end.
func (w *world) behind(rounds int) bool {
	var effects int
	err := w.db.QueryRowContext(w.t.Context(), "SELECT COUNT(*) FROM effects").Scan(&effects)
	return err == nil && rounds*w.keys-effects > 50*w.keys
}

// end stops it, and returns how many messages each key has.
func (l *load) end() int {
	l.once.Do(func() { close(l.over); l.sent = <-l.n })
	return l.sent
}

func (w *world) message(key string, n int) *nats.Msg {
	id := fmt.Sprintf("%s.%d", key, n)
	m := nats.NewMsg(binjet.Subject("outbox", "a", key, w.partitions))
	m.Header.Set(binjet.HeaderID, id)
	m.Header.Set(binjet.HeaderTopic, "a")
	m.Header.Set(binjet.HeaderKey, key)
	m.Data = []byte(strings.Repeat("x", rand.IntN(1000)))
	return m
}

// publish insists, and keeps the order of what it publishes, over outages.
func (w *world) publish(m *nats.Msg) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := w.js.PublishMsg(ctx, m)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-w.t.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// progress waits until more effects are there.
func (w *world) progress() {
	w.t.Helper()
	before := w.count("SELECT COUNT(*) FROM effects")
	w.eventually("effects", func() bool { return w.count("SELECT COUNT(*) FROM effects") > before+w.keys })
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("never: %s\n%s", what, w.records())
		}
	}
}

// records is what the bucket says of the shares.
func (w *world) records() string {
	var all strings.Builder
	w.eachShare(func(key string, value []byte) { fmt.Fprintf(&all, "%s: %.500s\n", key, value) })
	return all.String()
}

func (w *world) eachShare(each func(key string, value []byte)) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	kv, err := w.js.KeyValue(ctx, binjet.ConsumerBucket)
	if err != nil {
		return
	}
	for p := range max(w.partitions, 1) {
		key := fmt.Sprintf("OUTBOX.c.share.%d", p)
		if e, err := kv.Get(ctx, key); err == nil {
			each(key, e.Value())
		}
	}
}

// check waits until each key's n messages are handled, and then compares.
func (w *world) check(n int) {
	t := w.t
	t.Helper()
	w.eventually("all messages are handled", func() bool {
		return w.count("SELECT COUNT(*) FROM effects") >= n*w.keys || w.count("SELECT COUNT(*) FROM violations") > 0
	})
	rows, err := w.db.QueryContext(t.Context(), "SELECT id, what FROM violations")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id, what string
		must(t, rows.Scan(&id, &what))
		t.Errorf("violation: %s by %s", id, what)
	}
	must(t, rows.Err())
	for query, want := range map[string]int{
		"SELECT COUNT(*) FROM effects":                             n * w.keys,
		"SELECT COUNT(*) FROM inbox":                               n * w.keys,
		fmt.Sprintf("SELECT COUNT(*) FROM last WHERE n = %d", n-1): w.keys,
	} {
		if got := w.count(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	w.eventually("nothing is open", func() bool {
		closed := 0
		w.eachShare(func(_ string, value []byte) {
			var s struct{ Open []uint64 }
			if json.Unmarshal(value, &s) == nil && len(s.Open) == 0 {
				closed++
			}
		})
		return closed == max(w.partitions, 1)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
