package mapping

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// servers are started when first asked for, and shared by all tests.
type servers struct {
	mysql, mariadb func() (*dbserver.Server, error)
	schemas        atomic.Int32
	dir            string
	command        func() (string, error) // builds it once

	mu      sync.Mutex
	started []*dbserver.Server
}

var shared = newServers()

func newServers() *servers {
	s := new(servers)
	start := func(f dbserver.Flavor) func() (*dbserver.Server, error) {
		return sync.OnceValues(func() (*dbserver.Server, error) {
			srv, err := dbserver.Start(context.Background(), dbserver.Options{Flavor: f})
			if err == nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.started = append(s.started, srv)
			}
			return srv, err
		})
	}
	s.mysql, s.mariadb = start(dbserver.MySQL), start(dbserver.MariaDB)
	s.command = sync.OnceValues(func() (string, error) {
		bin := filepath.Join(s.dir, "binjet")
		out, err := exec.Command("go", "build", "-o", bin, "github.com/binjet/binjet/cmd/binjet").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build the command: %w\n%s", err, out)
		}
		return bin, err
	})
	return s
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "binjet-mapping-")
	if err != nil {
		log.Fatal(err)
	}
	shared.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	for _, srv := range shared.started {
		_ = srv.Close()
	}
	if err := goleak.Find(); code == 0 && err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

// world is a database of its own on a server.
type world struct {
	srv    *dbserver.Server
	db     *sql.DB // in the schema
	schema string
}

// eachFlavor runs the test on both flavours, in parallel.
func eachFlavor(t *testing.T, test func(t *testing.T, w *world)) {
	for name, start := range map[string]func() (*dbserver.Server, error){"MySQL": shared.mysql, "MariaDB": shared.mariadb} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, err := start()
			must(t, err)
			w := &world{srv: srv, schema: fmt.Sprintf("s%d", shared.schemas.Add(1))}
			w.db = open(t, srv.DSN(""))
			w.exec(t, "CREATE DATABASE "+w.schema)
			w.db = open(t, srv.DSN(w.schema))
			test(t, w)
		})
	}
}

func (w *world) mariaDB() bool { return w.srv.Flavor() == dbserver.MariaDB }

// can reports whether the server knows a statement, which leaves nothing behind.
func (w *world) can(t *testing.T, statement string) bool {
	t.Helper()
	_, err := w.db.ExecContext(t.Context(), statement)
	return err == nil
}

func (w *world) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := w.db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// reader reads the tables by a mapping.
func (w *world) reader(t *testing.T, start string, change func(*binlog.Config)) *binlog.Reader {
	t.Helper()
	dsn, err := mysql.ParseDSN(w.srv.DSN(w.schema))
	must(t, err)
	cfg := binlog.Config{Addr: dsn.Addr, User: dsn.User, Password: dsn.Passwd, Database: w.schema, Tables: []string{"outbox"}, Start: start}
	change(&cfg)
	r, err := binlog.New(cfg)
	must(t, err)
	return r
}

var errEnough = errors.New("enough")

// read yields messages from where the start policy begins, up to n of them.
func read(t *testing.T, r *binlog.Reader, n int) (list []binjet.Message, invalid []string) {
	t.Helper()
	p, err := r.Begin(t.Context())
	must(t, err)
	return readFrom(t, r, &p, n)
}

// readFrom moves p, and ends behind the page or transaction with message n.
func readFrom(t *testing.T, r *binlog.Reader, p *checkpoint.Position, n int) (list []binjet.Message, invalid []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := r.Stream(ctx, *p, func(tx *checkpoint.Transaction) error {
		p.Apply(tx)
		list = append(list, tx.Messages...)
		for _, bad := range tx.Invalid {
			invalid = append(invalid, bad.Reason)
		}
		if len(list) >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("read %d of %d messages: %v", len(list), n, err)
	}
	return list, invalid
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// describe is all of a message but when it was created, in lines that can be compared.
func describe(m *binjet.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s key=%q type=%q\n", m.ID, m.Topic, m.Key, m.ContentType)
	for _, name := range m.Headers.Keys() {
		fmt.Fprintf(&b, "  %s: %q\n", name, m.Headers[name])
	}
	fmt.Fprintf(&b, "  %s\n", m.Payload)
	return b.String()
}
