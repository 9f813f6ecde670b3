package inboxtest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
)

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
