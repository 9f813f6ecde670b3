package producer

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/binjet/binjet"
)

func messages(n int) []*binjet.Message {
	msgs := make([]*binjet.Message, n)
	for i := range msgs {
		msgs[i] = message("a")
	}
	return msgs
}

// Every row that is inserted is deleted behind it, by its own ID, and none twice.
func TestDeleteInTransaction(t *testing.T) {
	p := mustNew(t, Config{Table: "shop.outbox", Retain: DeleteInTransaction, MaxStatementBytes: 860, MaxBytes: 800})
	for n, want := range map[int]string{
		1: "INSERT 1, DELETE 1",
		9: "INSERT 8, DELETE 8, INSERT 1, DELETE 1", // as the limit in bytes splits them
	} {
		var r recorder
		msgs := messages(n)
		if err := p.Insert(t.Context(), &r, msgs...); err != nil {
			t.Fatal(err)
		}
		var did []string
		var deleted []any
		for _, c := range r.calls {
			verb, _, _ := strings.Cut(c.query, " ")
			rows := len(c.args)
			if verb == "INSERT" {
				rows /= columns
			} else {
				deleted = append(deleted, c.args...)
			}
			if got := strings.Count(c.query, "?"); got != len(c.args) {
				t.Errorf("%d placeholders for %d values: %s", got, len(c.args), c.query)
			}
			did = append(did, fmt.Sprint(verb, " ", rows))
		}
		if got := strings.Join(did, ", "); got != want {
			t.Errorf("%d messages: %s, want %s", n, got, want)
		}
		for i, m := range msgs {
			if deleted[i] != m.ID {
				t.Errorf("%v was deleted in the place of %s", deleted[i], m.ID)
			}
		}
	}
}

func TestRemovalText(t *testing.T) {
	r := newRemoval("`outbox`")
	for n, want := range map[int]string{
		1: "DELETE FROM `outbox` WHERE id = ?",
		2: "DELETE o FROM (SELECT CONVERT(? USING ascii) AS i UNION ALL SELECT CONVERT(? USING ascii)) AS d " +
			"STRAIGHT_JOIN `outbox` AS o FORCE INDEX (PRIMARY) ON o.id = d.i",
	} {
		if got := r.text(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := strings.Count(r.text(maxRemoved), "?"); got != maxRemoved {
		t.Errorf("%d placeholders, want %d", got, maxRemoved)
	}
}

// More rows than one DELETE names, prepared: each statement is the kept one.
func TestPrepareKeepsRemovals(t *testing.T) {
	var f fakeDB
	kept, err := mustNew(t, Config{Retain: DeleteInTransaction}).Prepare(t.Context(), open(t, &f), 1, maxRemoved+2)
	if err != nil {
		t.Fatal(err)
	}
	err = InTx(t.Context(), kept.prepared.db, nil, func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(kept.Insert(ctx, tx, message("a")), kept.Insert(ctx, tx, messages(maxRemoved+2)...), kept.Insert(ctx, tx, messages(2)...))
	})
	if err := errors.Join(err, kept.Close()); err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("prepare ", 5) + "begin stmt(5) stmt(1) stmt(2510) stmt(500) stmt(2) INSERT(10) stmt(2) commit" + strings.Repeat(" close", 5)
	if got := f.did(); got != want {
		t.Errorf("the database saw\n%s, want\n%s", got, want)
	}
}

func TestDeleteInTransactionWantsOne(t *testing.T) {
	p := mustNew(t, Config{Retain: DeleteInTransaction})
	var db pool
	if err := p.Insert(t.Context(), &db, message("a")); !errors.Is(err, ErrNotAtomic) || len(db.calls) > 0 {
		t.Errorf("got %v after %d statements", err, len(db.calls))
	}
}

// affects answers each statement with a count of rows.
type affects struct{ inserts, deletes int64 }

func (a affects) ExecContext(_ context.Context, query string, _ ...any) (sql.Result, error) {
	if strings.HasPrefix(query, "INSERT") {
		return driver.RowsAffected(a.inserts), nil
	}
	return driver.RowsAffected(a.deletes), nil
}

func TestRowsThatAreNotDeletedAreTold(t *testing.T) {
	p := mustNew(t, Config{Retain: DeleteInTransaction})
	if err := p.Insert(t.Context(), affects{1, 1}, message("a")); err != nil {
		t.Error(err)
	}
	if err := p.Insert(t.Context(), affects{1, 0}, message("a")); !errors.Is(err, errNotRemoved) || !strings.Contains(err.Error(), "0 of 1") {
		t.Errorf("got %v", err)
	}
	failing := recorder{fail: 2}
	if err := p.Insert(t.Context(), &failing, message("a")); !errors.Is(err, errDatabase) || !strings.Contains(err.Error(), "delete in the same transaction") {
		t.Errorf("got %v", err)
	}
	if _, err := New(Config{Retain: "drop"}); err == nil || !strings.Contains(err.Error(), `Retain "drop"`) {
		t.Errorf("got %v", err)
	}
}
