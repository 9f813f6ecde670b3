package test

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/binjet/binjet/consumer/inbox"
)

// TestInboxLooksUpByKey: what a claim costs does not grow with the marks that are
// there, also in a table that was empty when its statements were planned and that
// nobody has analysed. The servers count what they read by another way.
func TestInboxLooksUpByKey(t *testing.T) {
	t.Parallel()
	for name, start := range inboxDBs() {
		d := start
		if name == "SQLite" {
			continue // it plans without statistics, and counts nothing
		}
		t.Run(strings.ReplaceAll(name, " ", ""), func(t *testing.T) {
			t.Parallel()
			d := d(t)
			db := d.open(t)
			db.SetMaxOpenConns(1) // counts and plans are a session's
			in := d.inbox(t, inbox.SQLConfig{})
			must(t, in.EnsureSchema(t.Context(), db))
			claimAndConfirm(t, db, in, []string{"first"}) // opens the table, for which the server reads its own
			before := d.readOtherwise(t, db)
			all := make([]string, 600)
			for i := range all {
				all[i] = fmt.Sprintf("id-%06d", i)
			}
			for from := 0; from < len(all); from += 50 { // half of them is known
				claimAndConfirm(t, db, in, all[max(0, from-50):from+50])
			}
			for _, id := range all[:20] {
				tx, err := db.BeginTx(t.Context(), nil)
				must(t, err)
				if err := in.Claim(t.Context(), tx, "c", id); err == nil {
					t.Error("a mark is not known")
				}
				must(t, tx.Rollback())
			}
			if n := d.readOtherwise(t, db) - before; n != 0 {
				t.Errorf("%d rows or indexes were read otherwise than by key", n)
			}
			if _, err := in.Prune(t.Context(), db, "c", 1e12, inbox.Pace{}); err != nil { // reads by age
				t.Fatal(err)
			}
			if n := d.readOtherwise(t, db) - before; d.dialect == inbox.PostgreSQL && n == 0 {
				t.Error("the server does not count")
			}
		})
	}
}

// readOtherwise counts what was read in an index's order, or in the table's.
func (d inboxDB) readOtherwise(t *testing.T, db *sql.DB) int {
	t.Helper()
	if d.dialect == inbox.PostgreSQL {
		execSQL(t, db, "SELECT pg_stat_force_next_flush()")
		n, err := strconv.Atoi(querySQL(t, db, `SELECT COALESCE(SUM(idx_scan), 0) + (SELECT COALESCE(SUM(seq_scan), 0) FROM pg_stat_user_tables WHERE relname = 'inbox')
			FROM pg_stat_user_indexes WHERE indexrelname = 'inbox_created_at'`))
		must(t, err)
		return n
	}
	var name string
	var n int
	must(t, db.QueryRowContext(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read_next'").Scan(&name, &n))
	return n
}

func claimAndConfirm(t *testing.T, db *sql.DB, in *inbox.SQL, ids []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	fresh, err := in.ClaimBatch(ctx, tx, "c", ids)
	must(t, err)
	var own []string
	for i := range ids {
		if fresh[i] {
			own = append(own, ids[i])
		}
	}
	must(t, in.ConfirmBatch(ctx, tx, "c", own))
	must(t, in.Confirm(ctx, tx, "c", own[0]))
	must(t, tx.Commit())
}
