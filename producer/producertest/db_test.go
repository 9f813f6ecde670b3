package producertest

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
)

func event(id string) *binjet.Message {
	return &binjet.Message{ID: id, Topic: "a", Payload: []byte(id)}
}

// ids of what was committed, in that order.
func ids(db *DB) string {
	var all []string
	for _, m := range db.Messages() {
		all = append(all, m.ID)
	}
	return strings.Join(all, " ")
}

var errNo = errors.New("no")

func TestTransactions(t *testing.T) {
	p := newProducer(t, producer.Config{})
	exec := func(query string) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error { _, err := tx.ExecContext(ctx, query); return err }
	}
	put := func(id string) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error { return p.Insert(ctx, tx, event(id)) }
	}
	type steps = []func(context.Context, *sql.Tx) error
	for name, c := range map[string]struct {
		steps steps
		want  string
	}{
		"commit":    {steps{put("1"), put("2")}, "1 2"},
		"rollback":  {steps{put("1"), func(context.Context, *sql.Tx) error { return errNo }}, ""},
		"savepoint": {steps{put("1"), exec("SAVEPOINT s"), put("2"), exec("ROLLBACK TO s"), put("3"), exec("rollback to savepoint S;"), put("4")}, "1 4"},
		"nested":    {steps{exec("SAVEPOINT a"), put("1"), exec("SAVEPOINT b"), put("2"), exec("ROLLBACK TO SAVEPOINT a"), put("3")}, "3"},
		"release":   {steps{exec("SAVEPOINT a"), put("1"), exec("RELEASE SAVEPOINT a"), put("2")}, "1 2"},
		"none such": {steps{put("1"), exec("ROLLBACK TO SAVEPOINT s")}, ""},
		"released":  {steps{exec("SAVEPOINT a"), exec("RELEASE SAVEPOINT a"), put("1"), exec("ROLLBACK TO a")}, ""},
		"same ID":   {steps{put("1"), put("1")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			db := NewDB(t)
			err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
				for _, step := range c.steps {
					if err := step(ctx, tx); err != nil {
						return err
					}
				}
				return nil
			})
			if got := ids(db); got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("committed are %q, want %q; %v", got, c.want, err)
			}
		})
	}
}

func TestTransactionsByStatements(t *testing.T) {
	db := NewDB(t)
	p := newProducer(t, producer.Config{})
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"BEGIN", "1", "commit;", "START TRANSACTION", "2", "ROLLBACK", "3", "BEGIN", "4"} {
		if step[0] < 'A' {
			err = p.Insert(t.Context(), conn, event(step))
		} else {
			_, err = conn.ExecContext(t.Context(), step)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil { // the transaction of 4 does not go to who gets the connection next
		t.Fatal(err)
	}
	insert(t, db, producer.Config{}, event("5"))
	if got := ids(db); got != "1 3 5" {
		t.Errorf("committed are %q", got)
	}
}

func TestOrderIsThatOfCommits(t *testing.T) {
	db := NewDB(t)
	err := producer.InTx(t.Context(), db, nil, func(_ context.Context, tx *sql.Tx) error {
		insert(t, tx, producer.Config{}, event("1"))
		insert(t, db, producer.Config{}, event("2"))
		return nil
	})
	if got := ids(db); err != nil || got != "2 1" {
		t.Errorf("committed are %q, %v", got, err)
	}
}

func TestIDsAreUnique(t *testing.T) {
	db := NewDB(t)
	p := newProducer(t, producer.Config{})
	insert(t, db, producer.Config{}, event("1"))
	if err := p.Insert(t.Context(), db, event("2"), event("1")); !errors.Is(err, errDuplicate) {
		t.Errorf("got %v", err)
	}
	err := producer.InTx(t.Context(), db, nil, func(_ context.Context, tx *sql.Tx) error {
		insert(t, tx, producer.Config{}, event("3"))
		insert(t, db, producer.Config{}, event("3"))
		return nil
	})
	if !errors.Is(err, errDuplicate) || ids(db) != "1 3" {
		t.Errorf("got %v, committed are %s", err, ids(db))
	}
}

func TestStatements(t *testing.T) {
	db := NewDB(t)
	err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE orders SET paid = ? WHERE id = ?", true, "4711")
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
		stmt, err := tx.PrepareContext(ctx, "DELETE FROM carts")
		if err != nil {
			return err
		}
		_, err = stmt.ExecContext(ctx)
		return errors.Join(err, errNo)
	})
	if !errors.Is(err, errNo) {
		t.Fatal(err)
	}
	want := []Statement{{"UPDATE orders SET paid = ? WHERE id = ?", []any{true, "4711"}}, {"DELETE FROM carts", []any{}}}
	if got := db.Statements(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM orders").Scan(&n); err == nil || !strings.Contains(err.Error(), "no database is here") {
		t.Errorf("got %v", err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO `outbox` (id, topic, message_key, headers, payload) VALUES ('1','a',NULL,NULL,'x')"); err == nil || !strings.Contains(err.Error(), "values are in the statement's text") {
		t.Errorf("got %v", err)
	}
}

func TestPreparedStatements(t *testing.T) {
	db := NewDB(t)
	p, err := newProducer(t, producer.Config{}).Prepare(t.Context(), db.DB)
	if err != nil {
		t.Fatal(err)
	}
	err = producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error { return p.Insert(ctx, tx, event("1")) })
	if err := errors.Join(err, p.Close()); err != nil || ids(db) != "1" {
		t.Errorf("committed are %s, %v", ids(db), err)
	}
}

func TestFail(t *testing.T) {
	p := newProducer(t, producer.Config{})
	for part, want := range map[string]error{"BEGIN": errNo, "COMMIT": producer.ErrCommitUnknown, "INSERT": errNo, "UPDATE": errNo} {
		db := NewDB(t)
		run := func() error {
			return producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "UPDATE orders SET paid = 1")
				return errors.Join(err, p.Insert(ctx, tx, event("1")))
			})
		}
		db.Fail(part, errNo)
		if err := run(); !errors.Is(err, want) || !errors.Is(err, errNo) || ids(db) != "" {
			t.Errorf("%s: got %v, committed are %q", part, err, ids(db))
		}
		db.Fail(part, nil)
		if err := run(); err != nil || ids(db) != "1" {
			t.Errorf("%s: then got %v, committed are %q", part, err, ids(db))
		}
	}
	db := NewDB(t)
	db.Fail("ROLLBACK", errNo)
	err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(p.Insert(ctx, tx, event("1")), context.Canceled)
	})
	if !errors.Is(err, errNo) || ids(db) != "" {
		t.Errorf("got %v", err)
	}
}

func TestRelay(t *testing.T) {
	db := NewDB(t)
	p := newProducer(t, producer.Config{})
	var got []string
	fail := true
	handle := func(ctx context.Context, m binjet.Message) error {
		if m.ID == "2" && fail {
			fail = false
			return errNo
		}
		if m.CreatedAt.IsZero() || string(m.Payload) != m.ID {
			t.Errorf("got %+v", m)
		}
		m.Payload[0] = 'x' // is the handler's own
		got = append(got, m.ID)
		if m.ID == "3" {
			return p.Insert(ctx, db, event("4"))
		}
		return nil
	}
	insert(t, db, producer.Config{}, event("1"), event("2"), event("3"))
	if err := db.Relay(t.Context(), handle); !errors.Is(err, errNo) || !strings.Contains(err.Error(), `message "2" on topic "a"`) {
		t.Errorf("got %v", err)
	}
	for range 2 { // the second has nothing to do
		if err := db.Relay(t.Context(), handle); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"1", "2", "3", "4"}; !reflect.DeepEqual(got, want) {
		t.Errorf("handed over were %v, want %v", got, want)
	}
	if m := db.Messages(); string(m[0].Payload) != "1" {
		t.Error("the handler's message is the one that is kept")
	}
	insert(t, db, producer.Config{}, event("5"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Relay(ended, handle); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What the handler gets is what was inserted.
func TestRelayHandsOverAll(t *testing.T) {
	db := NewDB(t)
	insert(t, db, producer.Config{}, full())
	err := db.Relay(t.Context(), func(_ context.Context, m binjet.Message) error {
		m.CreatedAt = full().CreatedAt
		if !reflect.DeepEqual(&m, full()) {
			t.Errorf("got %+v, want %+v", m, full())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSeveralGoroutines(t *testing.T) {
	db := NewDB(t)
	p := newProducer(t, producer.Config{})
	handed := map[string]int{}
	relay := func() {
		if err := db.Relay(t.Context(), func(_ context.Context, m binjet.Message) error { handed[m.ID]++; return nil }); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
					return p.Insert(ctx, tx, &binjet.Message{Topic: "a", Payload: []byte("1")}, &binjet.Message{Topic: "a", Payload: []byte("2")})
				})
				if err != nil {
					t.Error(err)
				}
				relay()
			}
		})
	}
	wg.Wait()
	if len(handed) != 200 {
		t.Errorf("%d messages were handed over, want 200", len(handed))
	}
	for id, n := range handed {
		if n != 1 {
			t.Errorf("%s was handed over %d times", id, n)
		}
	}
}

// What is deleted in its own transaction is published all the same, and so it is
// here; a rollback takes it away.
func TestDeleteInTransaction(t *testing.T) {
	db := NewDB(t)
	p := newProducer(t, producer.Config{Retain: producer.DeleteInTransaction})
	for _, fails := range []error{errNo, nil} {
		err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
			if err := p.Insert(ctx, tx, event("1"), event("2")); err != nil {
				return err
			}
			RequireInserted(t, tx, ID("1"))
			return errors.Join(p.Insert(ctx, tx, event("3")), fails)
		})
		if fails == nil && err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(db); got != "1 2 3" || len(db.Statements()) > 0 {
		t.Errorf("committed %q, statements %v", got, db.Statements())
	}
}
