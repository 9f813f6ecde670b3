package test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/consumer/inbox/inboxtest"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// inboxDB makes databases of one kind, each empty.
type inboxDB struct {
	dialect inbox.Dialect
	open    func(t testing.TB) *sql.DB
	levels  []sql.IsolationLevel
	// waiting counts the sessions of a database that wait for another's transaction.
	waiting string
	server  *dbserver.Server // none for SQLite
}

// inboxDBs has an entry for each database that the SQL inbox speaks to; a server
// is started when its entry is called, for the test's whole life. Connections have
// flags and time zones that change how statements are sent and answered.
func inboxDBs() map[string]func(t testing.TB) inboxDB {
	return map[string]func(t testing.TB) inboxDB{
		"MySQL": func(t testing.TB) inboxDB {
			return inboxMySQL(t, dbserver.Options{Flavor: dbserver.MySQL}, "?clientFoundRows=true&parseTime=true&loc=Asia%2FKolkata&time_zone=%27%2B05%3A30%27")
		},
		"MariaDB": func(t testing.TB) inboxDB { return inboxMySQL(t, dbserver.Options{Flavor: dbserver.MariaDB}, "") },
		"MariaDB 10.11": func(t testing.TB) inboxDB {
			return inboxMySQL(t, dbserver.Options{Flavor: dbserver.MariaDB, Version: "10.11"},
				"?interpolateParams=true&parseTime=true&time_zone=%27-07%3A00%27")
		},
		"PostgreSQL": inboxPostgres,
		"SQLite":     inboxSQLite,
	}
}

func inboxMySQL(t testing.TB, o dbserver.Options, params string) inboxDB {
	s := testdb.New(t, o)
	return inboxDB{
		dialect: inbox.MySQL,
		server:  s,
		open:    opener("mysql", s, "CREATE DATABASE %s CHARACTER SET latin1", func(db string) string { return s.DSN(db) + params }),
		levels:  []sql.IsolationLevel{sql.LevelDefault, sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelSerializable},
		// The process list says so at once; innodb_trx does not change while it is
		// read more often than every 100 ms.
		waiting: "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() AND (info LIKE 'INSERT%' OR info LIKE 'DELETE%')",
	}
}

func inboxPostgres(t testing.TB) inboxDB {
	s := testdb.New(t, dbserver.Options{Flavor: dbserver.PostgreSQL})
	return inboxDB{
		dialect: inbox.PostgreSQL,
		server:  s,
		open:    opener("pgx", s, "CREATE SCHEMA %s", func(schema string) string { return s.DSN("") + "&timezone=Asia%2FKolkata&search_path=" + schema }),
		levels:  []sql.IsolationLevel{sql.LevelDefault, sql.LevelRepeatableRead, sql.LevelSerializable},
		waiting: "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
	}
}

func inboxSQLite(testing.TB) inboxDB {
	return inboxDB{
		dialect: inbox.SQLite,
		open: func(t testing.TB) *sql.DB {
			return openSQLite(t, filepath.Join(t.TempDir(), "a.db"), "_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)")
		},
	}
}

func openSQLite(t testing.TB, file, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?"+params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// opener opens a new database, or what serves as one, at each call.
func opener(driver string, s *dbserver.Server, create string, dsn func(name string) string) func(t testing.TB) *sql.DB {
	var n atomic.Int64
	return func(t testing.TB) *sql.DB {
		t.Helper()
		name := fmt.Sprintf("inbox_%d", n.Add(1))
		admin, err := sql.Open(driver, s.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		if _, err := admin.ExecContext(t.Context(), fmt.Sprintf(create, name)); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open(driver, dsn(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
}

// store is a new database with the inbox's table.
func (d inboxDB) store(t *testing.T) inboxtest.TxStore {
	t.Helper()
	db := d.open(t)
	in := d.inbox(t, inbox.SQLConfig{})
	must(t, in.EnsureSchema(t.Context(), db))
	return inboxtest.TxStore{Inbox: in, DB: db, Levels: d.levels, Waiting: d.waits(db)}
}

// waits counts what waits for another transaction; nil where nobody can tell.
func (d inboxDB) waits(db *sql.DB) func(ctx context.Context) (int, error) {
	if d.waiting == "" {
		return nil
	}
	return func(ctx context.Context) (n int, err error) {
		err = db.QueryRowContext(ctx, d.waiting).Scan(&n)
		return n, err
	}
}

func (d inboxDB) inbox(t testing.TB, cfg inbox.SQLConfig) *inbox.SQL {
	t.Helper()
	cfg.Dialect = d.dialect
	in, err := inbox.NewSQL(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestInboxStores: every store passes the one suite.
func TestInboxStores(t *testing.T) {
	t.Parallel()
	for name, start := range inboxDBs() {
		t.Run(strings.ReplaceAll(name, " ", ""), func(t *testing.T) {
			t.Parallel()
			d := start(t)
			inboxtest.RunTx(t, d.store)
			inboxtest.RunSQL(t, func(t *testing.T) inboxtest.SQLStore {
				db := d.open(t)
				return inboxtest.SQLStore{DB: db, Dialect: d.dialect, Waiting: d.waits(db)}
			})
		})
	}
}
