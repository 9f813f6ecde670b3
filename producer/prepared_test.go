package producer

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/binjet/binjet"
)

func TestPrepare(t *testing.T) {
	var f fakeDB
	db := open(t, &f)
	p := mustNew(t, Config{})
	kept, err := p.Prepare(t.Context(), db, 1, 3, 3)
	if err != nil {
		t.Fatal(err)
	}
	insert := func(p *Producer, tx Execer, n int) {
		t.Helper()
		msgs := make([]*binjet.Message, n)
		for i := range msgs {
			msgs[i] = message("a")
		}
		if err := p.Insert(t.Context(), tx, msgs...); err != nil {
			t.Fatal(err)
		}
	}
	err = InTx(t.Context(), db, nil, func(_ context.Context, tx *sql.Tx) error {
		for n := range 4 {
			insert(kept, tx, n+1)
		}
		insert(kept, struct{ *sql.Tx }{tx}, 1) // as those of sqlx and bun are
		insert(kept, struct{ Execer }{tx}, 1)  // nothing but an Execer
		insert(p, tx, 1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	insert(kept, db, 3)
	if err := errors.Join(kept.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	const want = "prepare prepare begin stmt(5) INSERT(10) stmt(15) INSERT(20) stmt(5) INSERT(5) INSERT(5) commit stmt(15) close close"
	if got := f.did(); got != want {
		t.Errorf("the database saw %s, want %s", got, want)
	}
}

func TestPrepareRefuses(t *testing.T) {
	p := mustNew(t, Config{})
	for name, c := range map[string]struct {
		fails    error
		messages []int
		want     string
	}{
		"the database": {errDatabase, nil, "prepare inserts into `outbox`: " + errDatabase.Error()},
		"none":         {nil, []int{1, 0}, "0 messages: 1 to 13107 are possible"},
		"too many":     {nil, []int{maxRows + 1}, "13108 messages"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fakeDB{prepare: c.fails}
			kept, err := p.Prepare(t.Context(), open(t, &f), c.messages...)
			if kept != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v", kept, err)
			}
			if did := f.did(); name == "none" && did != "prepare close" {
				t.Errorf("what was prepared is not closed: %s", did)
			}
		})
	}
}

// A transaction of another database can't use the statements. That is said, and
// nothing is inserted.
func TestPreparedIsOfOneDatabase(t *testing.T) {
	var here, there fakeDB
	kept, err := mustNew(t, Config{}).Prepare(t.Context(), open(t, &here))
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, &there)
	err = InTx(t.Context(), other, nil, func(ctx context.Context, tx *sql.Tx) error { return kept.Insert(ctx, tx, message("a")) })
	if err == nil || !strings.Contains(err.Error(), "different database") || there.did() != "begin rollback" {
		t.Errorf("got %v, the database saw %s", err, there.did())
	}
	if err := kept.Insert(t.Context(), other, message("a")); err != nil || there.did() != "begin rollback INSERT(5)" {
		t.Errorf("a pool takes the statement's text: %v, %s", err, there.did())
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
}

type (
	poolLike struct{ recorder } // gorm's PreparedStmtDB, ent's Client
	txLike   struct{ poolLike } // bun's Tx, which begins savepoints
)

func (*poolLike) BeginTx(context.Context, *sql.TxOptions) (int, error) { return 0, nil }
func (*txLike) Commit() error                                          { return nil }

func TestPoolsAreKnown(t *testing.T) {
	for _, c := range []struct {
		tx   Execer
		want bool
	}{
		{new(sql.DB), true}, {struct{ *sql.DB }{new(sql.DB)}, true}, {new(poolLike), true},
		{new(sql.Tx), false}, {new(sql.Conn), false}, {new(txLike), false}, {new(recorder), false},
	} {
		if got := isPool(c.tx); got != c.want {
			t.Errorf("%T is a pool: %t", c.tx, got)
		}
	}
}
