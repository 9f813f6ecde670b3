package test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// startPostgres runs a PostgreSQL until the test ends.
func startPostgres(t testing.TB, o dbserver.Options) (*dbserver.Server, *sql.DB) {
	t.Helper()
	o.Flavor = dbserver.PostgreSQL
	s := testdb.New(t, o)
	db, err := sql.Open("pgx", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return s, db
}

// TestDBServerPostgres: a kill takes the backends with it, what is committed
// survives it, a pause is silent, and a clean stop does not wait for clients.
func TestDBServerPostgres(t *testing.T) {
	t.Parallel()
	s, db := startPostgres(t, dbserver.Options{})
	execSQL(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	execSQL(t, db, "INSERT INTO t VALUES (1)")
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = tx.ExecContext(t.Context(), "INSERT INTO t VALUES (2)")
	must(t, err)
	must(t, s.Kill())
	must(t, s.Kill())
	if err := tx.Commit(); err == nil {
		t.Error("a transaction committed on a server that was killed")
	}
	must(t, s.Restart(t.Context()))
	wantSQL(t, db, "SELECT COUNT(*) FROM t", "1")
	if v := querySQL(t, db, "SHOW server_version"); !strings.HasPrefix(v, s.Version()) {
		t.Errorf("Version() = %s, the server says %s", s.Version(), v)
	}

	must(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES (3)"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server answered: %v", err)
	}
	must(t, s.Resume())
	must(t, s.Stop(t.Context()))
	must(t, s.Restart(t.Context(), "-c", "max_connections=7"))
	wantSQL(t, db, "SHOW max_connections", "7")
	must(t, s.Pause())
	must(t, s.Kill())
	must(t, s.Close())
}
