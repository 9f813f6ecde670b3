package test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/binjet/binjet/consumer/inbox"
)

// BenchmarkInbox is what a claim costs: begin, claim, confirm and commit, with no
// effects, one at a time. A batch counts per message.
//
//	go test -run '^$' -bench BenchmarkInbox .
func BenchmarkInbox(b *testing.B) {
	for name, start := range inboxDBs() {
		b.Run(strings.ReplaceAll(name, " ", ""), func(b *testing.B) {
			d := start(b)
			db := d.open(b)
			in := d.inbox(b, inbox.SQLConfig{})
			if err := in.EnsureSchema(b.Context(), db); err != nil {
				b.Fatal(err)
			}
			run := 0
			ids := func(n int) []string { // new ones at each call, rising like UUIDv7
				all := make([]string, n)
				for i := range all {
					run++
					all[i] = fmt.Sprintf("0198c0de-0000-7000-8000-%012d", run)
				}
				return all
			}
			b.Run("empty", func(b *testing.B) { benchInbox(b, db, func(*sql.Tx) error { return nil }, 1) })
			b.Run("claim", func(b *testing.B) {
				benchInbox(b, db, func(tx *sql.Tx) error { return benchClaim(b.Context(), in, tx, ids(1)[0]) }, 1)
			})
			for _, n := range []int{10, 100} {
				b.Run(fmt.Sprintf("batch%d", n), func(b *testing.B) {
					benchInbox(b, db, func(tx *sql.Tx) error { return benchBatch(b.Context(), in, tx, ids(n)) }, n)
				})
			}
			known := ids(100)
			benchInboxOnce(b, db, func(tx *sql.Tx) error { return benchBatch(b.Context(), in, tx, known) })
			b.Run("known100", func(b *testing.B) {
				benchInbox(b, db, func(tx *sql.Tx) error { return benchBatch(b.Context(), in, tx, known) }, 100)
			})
		})
	}
}

func benchClaim(ctx context.Context, in *inbox.SQL, tx *sql.Tx, id string) error {
	if err := in.Claim(ctx, tx, "c", id); err != nil {
		return err
	}
	return in.Confirm(ctx, tx, "c", id)
}

func benchBatch(ctx context.Context, in *inbox.SQL, tx *sql.Tx, ids []string) error {
	fresh, err := in.ClaimBatch(ctx, tx, "c", ids)
	if err != nil || !fresh[0] { // all of a batch here are new, or none
		return err
	}
	return in.ConfirmBatch(ctx, tx, "c", ids)
}

func benchInbox(b *testing.B, db *sql.DB, work func(*sql.Tx) error, messages int) {
	for b.Loop() {
		benchInboxOnce(b, db, work)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*messages), "µs/message")
}

func benchInboxOnce(b *testing.B, db *sql.DB, work func(*sql.Tx) error) {
	tx, err := db.BeginTx(b.Context(), nil)
	if err == nil {
		err = work(tx)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		b.Fatal(err)
	}
}
