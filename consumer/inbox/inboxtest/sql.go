package inboxtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
)

// SQLStore is a database for an [inbox.SQL] that the suite makes itself.
type SQLStore struct {
	// DB is empty, and may be used by twenty transactions at a time.
	DB      *sql.DB
	Dialect inbox.Dialect
	// Table is what the inbox's table is to be called. Default: "inbox".
	Table string
	// Waiting counts the statements that wait for another transaction just now; nil
	// where the database has one writer at a time.
	Waiting func(ctx context.Context) (int, error)
}

// RunSQL tests the table of an inbox and its clean-up; newStore is called once for each test.
func RunSQL(t *testing.T, newStore func(t *testing.T) SQLStore) {
	for name, test := range map[string]func(*sqlTest){
		"a missing table is named":        (*sqlTest).missing,
		"many create it at once":          (*sqlTest).createdByMany,
		"its SQL makes it too":            (*sqlTest).schemaIsSQL,
		"old marks go and no others":      (*sqlTest).pruneOld,
		"old marks go in batches":         (*sqlTest).pruneBatches,
		"many clean up at once":           (*sqlTest).pruneByMany,
		"a clean-up can be cancelled":     (*sqlTest).pruneCancelled,
		"bad clean-ups are refused":       (*sqlTest).pruneRefused,
		"retention is kept while it runs": (*sqlTest).maintain,
	} {
		t.Run(name, func(t *testing.T) { newSQLTest(t, newStore(t)).run(test) })
	}
	if newStore(t).Waiting == nil {
		return
	}
	for name, test := range map[string]func(*sqlTest){
		"a clean-up waits for no claim, and no claim for it": (*sqlTest).pruneBesideClaims,
		"a mark that was made anew stays":                    (*sqlTest).pruneMadeAnew,
	} {
		t.Run(name, func(t *testing.T) { newSQLTest(t, newStore(t)).run(test) })
	}
}

type sqlTest struct {
	*testing.T
	SQLStore
	ctx context.Context
	in  *inbox.SQL
}

func newSQLTest(t *testing.T, s SQLStore) *sqlTest {
	if s.Table == "" {
		s.Table = "inbox"
	}
	in, err := inbox.NewSQL(inbox.SQLConfig{Table: s.Table, Dialect: s.Dialect})
	if err != nil {
		t.Fatal(err)
	}
	return &sqlTest{T: t, SQLStore: s, in: in}
}

func (t *sqlTest) run(test func(*sqlTest)) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	t.ctx = ctx
	test(t)
}

func (t *sqlTest) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *sqlTest) exec(query string) {
	t.Helper()
	if _, err := t.DB.ExecContext(t.ctx, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (t *sqlTest) missing() {
	var bad *inbox.SchemaError
	err := t.in.Validate(t.ctx, t.DB)
	if !errors.As(err, &bad) || bad.Table != t.Table || !slices.Equal(bad.Faults, []string{"there is no such table"}) {
		t.Errorf("got %v", err)
	}
	tx, err := t.DB.BeginTx(t.ctx, nil)
	t.must(err)
	defer func() { _ = tx.Rollback() }()
	if err := t.in.Claim(t.ctx, tx, "c", "1"); err == nil || errors.Is(err, inbox.ErrDone) || errors.Is(err, inbox.ErrConflict) {
		t.Errorf("claim without a table: %v", err)
	}
}

func (t *sqlTest) createdByMany() {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			in, err := inbox.NewSQL(inbox.SQLConfig{Table: t.Table, Dialect: t.Dialect})
			if err == nil {
				err = in.EnsureSchema(t.ctx, t.DB)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.must(t.in.Validate(t.ctx, t.DB))
	t.marks("c", "1")
	t.must(t.in.EnsureSchema(t.ctx, t.DB)) // changes nothing
	t.wantMarks("c", "1")
}

func (t *sqlTest) schemaIsSQL() {
	for range 2 {
		for _, statement := range strings.Split(t.in.Schema(), ";\n") {
			t.exec(statement)
		}
	}
	t.must(t.in.Validate(t.ctx, t.DB))
}

// marks makes marks, all in one transaction.
func (t *sqlTest) marks(consumer string, ids ...string) {
	t.Helper()
	tx, err := t.DB.BeginTx(t.ctx, nil)
	t.must(err)
	defer func() { _ = tx.Rollback() }()
	fresh, err := t.in.ClaimBatch(t.ctx, tx, consumer, ids)
	t.must(err)
	if slices.Contains(fresh, false) {
		t.Fatalf("some of the marks are there: %v", fresh)
	}
	t.must(tx.Commit())
}

func (t *sqlTest) wantMarks(consumer string, want ...string) {
	t.Helper()
	rows, err := t.DB.QueryContext(t.ctx, fmt.Sprintf("SELECT message_id FROM %s WHERE consumer = '%s' ORDER BY message_id", t.Table, consumer))
	t.must(err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var id string
		t.must(rows.Scan(&id))
		got = append(got, id)
	}
	t.must(rows.Err())
	if !slices.Equal(got, want) {
		t.Errorf("marks of %s: %d, %.80q…, want %d, %.80q…", consumer, len(got), got, len(want), want)
	}
}

// age makes the marks of the IDs from one to the other older.
func (t *sqlTest) age(consumer, first, last string, by time.Duration) {
	t.Helper()
	t.exec(fmt.Sprintf("UPDATE %s SET created_at = %s WHERE consumer = '%s' AND message_id BETWEEN '%s' AND '%s'",
		t.Table, t.earlier(by), consumer, first, last))
}

func (t *sqlTest) earlier(by time.Duration) string {
	switch t.Dialect {
	case inbox.PostgreSQL:
		return fmt.Sprintf("clock_timestamp() - interval '%f seconds'", by.Seconds())
	case inbox.SQLite:
		return fmt.Sprintf("strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-%f seconds')", by.Seconds())
	}
	return fmt.Sprintf("UTC_TIMESTAMP(6) - INTERVAL %d MICROSECOND", by.Microseconds())
}
