package inboxtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
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

// quick is a pace for tests.
func quick(batch int) inbox.Pace { return inbox.Pace{Batch: batch, Pause: time.Microsecond} }

func (t *sqlTest) prune(consumer string, olderThan time.Duration, pace inbox.Pace, want int64) {
	t.Helper()
	n, err := t.in.Prune(t.ctx, t.DB, consumer, olderThan, pace)
	t.must(err)
	if n != want {
		t.Errorf("%d marks were pruned, want %d", n, want)
	}
}

func (t *sqlTest) pruneOld() {
	t.must(t.in.EnsureSchema(t.ctx, t.DB))
	for _, consumer := range []string{"c", "d"} {
		t.marks(consumer, "59m", "61m", "new", "year")
		t.age(consumer, "59m", "59m", 59*time.Minute)
		t.age(consumer, "61m", "61m", 61*time.Minute)
		t.age(consumer, "year", "year", 365*24*time.Hour)
	}
	t.prune("c", time.Hour, inbox.Pace{}, 2)
	t.wantMarks("c", "59m", "new")
	t.wantMarks("d", "59m", "61m", "new", "year")
	t.marks("c", "61m") // can be claimed again
	t.prune("c", time.Hour, inbox.Pace{}, 0)
	t.prune("nobody", time.Hour, inbox.Pace{}, 0)
}

func (t *sqlTest) pruneBatches() {
	t.must(t.in.EnsureSchema(t.ctx, t.DB))
	all := numbered(1201)
	t.marks("c", all...)
	t.age("c", all[0], all[1199], 2*time.Hour) // one time for all
	t.age("c", all[0], all[9], 3*time.Hour)
	t.prune("c", time.Hour, inbox.Pace{Batch: 4, Pause: time.Microsecond, Limit: 10}, 10) // the oldest
	t.wantMarks("c", all[10:]...)
	t.prune("c", time.Hour, quick(100), 1190)
	t.wantMarks("c", all[1200])
}

// pruneByMany: claims go on, and lose nothing.
func (t *sqlTest) pruneByMany() {
	const old, pruners, claimers, claims = 2000, 4, 4, 30
	t.must(t.in.EnsureSchema(t.ctx, t.DB))
	t.DB.SetMaxOpenConns(pruners + claimers)
	all := numbered(old)
	t.marks("c", all...)
	t.age("c", all[0], all[old-1], 2*time.Hour)
	var wg sync.WaitGroup
	pruned := make(chan int64, pruners)
	for range pruners {
		wg.Go(func() {
			n, err := t.in.Prune(t.ctx, t.DB, "c", time.Hour, quick(50))
			if err != nil {
				t.Error(err)
			}
			pruned <- n
		})
	}
	var fresh []string
	for i := range claimers * claims { // among the old ones, and behind them
		fresh = append(fresh, all[i*10]+"-new", fmt.Sprintf("z-%03d", i))
	}
	for some := range slices.Chunk(fresh, 2*claims) {
		wg.Go(func() {
			for _, id := range some {
				if err := t.claimOnce(id); err != nil {
					t.Errorf("claim %s: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	close(pruned)
	total := int64(0)
	for n := range pruned {
		total += n
	}
	if total != old {
		t.Errorf("%d marks were pruned, want %d", total, old)
	}
	t.wantMarks("c", slices.Sorted(slices.Values(fresh))...)
}

// claimOnce claims and commits, without a second try.
func (t *sqlTest) claimOnce(id string) error {
	tx, err := t.DB.BeginTx(t.ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := t.in.Claim(t.ctx, tx, "c", id); err != nil {
		return err
	}
	return tx.Commit()
}

func (t *sqlTest) pruneCancelled() {
	t.must(t.in.EnsureSchema(t.ctx, t.DB))
	all := numbered(10)
	t.marks("c", all...)
	t.age("c", all[0], all[9], 2*time.Hour)
	ctx, cancel := context.WithCancel(t.ctx)
	time.AfterFunc(50*time.Millisecond, cancel)
	if n, err := t.in.Prune(ctx, t.DB, "c", time.Hour, inbox.Pace{Batch: 1, Pause: time.Hour}); err == nil || n > 1 {
		t.Errorf("a cancelled clean-up: %d, %v", n, err)
	}
	t.prune("c", time.Hour, quick(3), int64(t.count("c")))
}

func (t *sqlTest) count(consumer string) (n int) {
	t.Helper()
	t.must(t.DB.QueryRowContext(t.ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE consumer = '%s'", t.Table, consumer)).Scan(&n))
	return n
}

func (t *sqlTest) pruneRefused() {
	for _, c := range []struct {
		consumer string
		older    time.Duration
		pace     inbox.Pace
	}{
		{"", time.Hour, inbox.Pace{}}, {"a b", time.Hour, inbox.Pace{}}, {"c", 0, inbox.Pace{}}, {"c", -time.Hour, inbox.Pace{}},
		{"c", time.Hour, inbox.Pace{Batch: -1}}, {"c", time.Hour, inbox.Pace{Batch: 100_000}}, {"c", time.Hour, inbox.Pace{Limit: -1}},
	} {
		if _, err := t.in.Prune(t.ctx, t.DB, c.consumer, c.older, c.pace); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if _, err := t.in.Prune(t.ctx, t.DB, "c", time.Hour, inbox.Pace{}); err == nil {
		t.Error("a clean-up without a table succeeds")
	}
}

// maintain is what a consumer does with an inbox that has a retention.
func (t *sqlTest) maintain() {
	in, err := inbox.NewSQL(inbox.SQLConfig{Table: t.Table, Dialect: t.Dialect, Retention: time.Hour})
	t.must(err)
	t.must(in.EnsureSchema(t.ctx, t.DB))
	t.marks("c", "new", "old")
	t.age("c", "old", "old", 2*time.Hour)
	ctx, cancel := context.WithCancel(t.ctx)
	ended := make(chan struct{})
	go func() {
		in.Maintain(ctx, t.DB, "c", slog.New(slog.DiscardHandler))
		close(ended)
	}()
	for tick := time.NewTicker(5 * time.Millisecond); t.count("c") > 1; <-tick.C {
		t.must(t.ctx.Err())
	}
	cancel()
	<-ended
	t.wantMarks("c", "new")
	t.in.Maintain(t.ctx, t.DB, "c", slog.New(slog.DiscardHandler)) // keeps for ever: nothing to do
}

// hold takes the lock of one mark by giving it today's date, in a transaction
// that stays open.
func (t *sqlTest) hold(id string) *sql.Tx {
	t.Helper()
	tx, err := t.DB.BeginTx(t.ctx, nil)
	t.must(err)
	_, err = tx.ExecContext(t.ctx, fmt.Sprintf("UPDATE %s SET created_at = %s WHERE consumer = 'c' AND message_id = '%s'", t.Table, t.earlier(0), id))
	t.must(err)
	return tx
}

// pruneInTheMiddle starts a clean-up of nine old marks that waits for the fifth.
func (t *sqlTest) pruneInTheMiddle() (held *sql.Tx, pruned <-chan int64) {
	t.Helper()
	t.must(t.in.EnsureSchema(t.ctx, t.DB))
	t.marks("c", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9")
	t.age("c", "a1", "a9", 2*time.Hour)
	held = t.hold("a5")
	ended := make(chan int64, 1)
	go func() {
		n, err := t.in.Prune(t.ctx, t.DB, "c", time.Hour, inbox.Pace{})
		if err != nil {
			t.Error(err)
		}
		ended <- n
	}()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		waiting, err := t.Waiting(t.ctx)
		t.must(err)
		if waiting > 0 {
			tick.Stop()
			return held, ended
		}
	}
}

// pruneBesideClaims: while a clean-up has deleted some and waits for another, new
// marks are made before, between and behind these.
func (t *sqlTest) pruneBesideClaims() {
	held, pruned := t.pruneInTheMiddle()
	open, err := t.DB.BeginTx(t.ctx, nil)
	t.must(err)
	_, err = t.in.ClaimBatch(t.ctx, open, "c", []string{"0", "a11", "a45", "a51", "a95", "z"})
	t.must(err)
	t.must(t.claimOnce("a15"))
	t.must(held.Commit())
	if n := <-pruned; n != 8 { // it does not wait for the claims that are open
		t.Errorf("%d marks were pruned, want 8", n)
	}
	t.must(open.Commit())
	t.wantMarks("c", "0", "a11", "a15", "a45", "a5", "a51", "a95", "z")
}

func (t *sqlTest) pruneMadeAnew() {
	held, pruned := t.pruneInTheMiddle()
	t.must(held.Commit())
	if n := <-pruned; n != 8 {
		t.Errorf("%d marks were pruned, want 8", n)
	}
	t.wantMarks("c", "a5")
}
