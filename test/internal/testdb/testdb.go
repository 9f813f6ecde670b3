package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/internal/dbserver"
)

// Flavors are the databases that events come from.
func Flavors() []dbserver.Flavor { return []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} }

// Start starts a server of the backend.
func Start(ctx context.Context, o dbserver.Options) (*dbserver.Server, error) {
	flavor := o.Flavor
	if flavor == "" {
		flavor = dbserver.MySQL
	}
	if flavor == dbserver.PostgreSQL || len(o.Sources) > 0 {
		return dbserver.Start(ctx, o)
	}
	if at := address(flavor, os.Getenv); at.Addr != "" {
		if !plain(o) {
			return nil, fmt.Errorf("this test needs a %v of its own (%+v), which %s is not: run it without %s", flavor, o.Args, at.Addr, variable(flavor, "ADDR"))
		}
		return dbserver.Given(ctx, at)
	}
	if o.Version == "" {
		o.Version = os.Getenv(variable(flavor, "VERSION"))
	}
	switch backend := os.Getenv("BINJET_TEST_BACKEND"); backend {
	case "", "local":
	case "containers":
		o.Launcher = containers{}
	default:
		return nil, fmt.Errorf("BINJET_TEST_BACKEND=%q is unknown: use local or containers", backend)
	}
	return dbserver.Start(ctx, o)
}

// plain tells whether options ask for nothing that only a new server can have.
func plain(o dbserver.Options) bool {
	return o.Version == "" && o.Dir == "" && o.Port == 0 && len(o.Args) == 0
}

// variable is the name of one of the variables of a flavour.
func variable(f dbserver.Flavor, what string) string {
	return "BINJET_TEST_" + strings.ToUpper(string(f)) + "_" + what
}

func address(f dbserver.Flavor, getenv func(string) string) dbserver.Address {
	return dbserver.Address{Flavor: f, Addr: getenv(variable(f, "ADDR")),
		User: getenv(variable(f, "USER")), Password: getenv(variable(f, "PASSWORD"))}
}

// New starts a server for a test, and closes it when the test ends; that it has ended
// before by itself fails the test.
func New(tb testing.TB, o dbserver.Options) *dbserver.Server {
	tb.Helper()
	o.Progress = func(line string) { tb.Log(line) }
	s, err := Start(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Shared is one server of the flavour for all tests of this program, as [Run] ends it.
func Shared(tb testing.TB, f dbserver.Flavor) *dbserver.Server {
	tb.Helper()
	s, err := all.servers[f]()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (p *program) start(f dbserver.Flavor) (*dbserver.Server, error) {
	s, err := Start(context.Background(), dbserver.Options{Flavor: f})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = append(p.started, s)
	return s, nil
}

// Open opens a connection pool that is closed when the test ends.
func Open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Create makes a database on a server. On a given server it replaces what a run that was
// broken off left there, and is dropped when the test ends.
func Create(tb testing.TB, s *dbserver.Server, name string) {
	tb.Helper()
	db := Open(tb, s.DSN(""))
	run := func(ctx context.Context, query string) {
		if _, err := db.ExecContext(ctx, query); err != nil {
			tb.Fatalf("%s: %v", query, err)
		}
	}
	if s.Given() {
		run(tb.Context(), "DROP DATABASE IF EXISTS "+name)
		tb.Cleanup(func() { run(context.Background(), "DROP DATABASE "+name) })
	}
	run(tb.Context(), "CREATE DATABASE "+name)
}
