package produce

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
)

// servers are started when first asked for, and shared by all tests.
type servers struct {
	mysql, mariadb func() (*dbserver.Server, error)
	schemas        atomic.Int32

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
	return s
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, srv := range shared.started {
		if err := srv.Close(); err != nil {
			log.Print(err)
			code = 1
		}
	}
	// gorm never ends the goroutine of its cache of prepared statements.
	if err := goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1")); code == 0 && err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

// eachFlavor runs the test on both flavours, in parallel.
func eachFlavor(t *testing.T, test func(t *testing.T, s *dbserver.Server)) {
	for name, start := range map[string]func() (*dbserver.Server, error){"MySQL": shared.mysql, "MariaDB": shared.mariadb} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := start()
			must(t, err)
			test(t, s)
		})
	}
}

// schema makes a database of its own with an outbox table and returns its DSN.
func schema(t testing.TB, s *dbserver.Server, params string) string {
	t.Helper()
	name := fmt.Sprintf("s%d", shared.schemas.Add(1))
	admin := open(t, s.DSN(""))
	exec(t, admin, "CREATE DATABASE "+name)
	create, err := binjet.OutboxSQL(name + "." + binjet.DefaultTable)
	must(t, err)
	exec(t, admin, create)
	return s.DSN(name) + params
}

func open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t testing.TB, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func newProducer(t testing.TB, cfg producer.Config) *producer.Producer {
	t.Helper()
	p, err := producer.New(cfg)
	must(t, err)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
