package produce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

func event(i int) *binjet.Message {
	return &binjet.Message{Topic: "orders.created", Key: fmt.Sprint(i), ContentType: "text/plain", Payload: fmt.Append(nil, i)}
}

func count(t testing.TB, db *sql.DB) (n int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM outbox").Scan(&n))
	return n
}

// Statements that are kept must do on every connection, after the table was
// altered, and after their connection was lost.
func TestPrepared(t *testing.T) {
	eachFlavor(t, func(t *testing.T, s *dbserver.Server) {
		db := testdb.Open(t, schema(t, s, ""))
		db.SetMaxOpenConns(2)
		p, err := newProducer(t, producer.Config{}).Prepare(t.Context(), db, 1, 3)
		must(t, err)
		t.Cleanup(func() { must(t, p.Close()) })
		insert := func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(p.Insert(ctx, tx, event(1)), p.Insert(ctx, tx, event(2), event(3)), p.Insert(ctx, tx, event(4), event(5), event(6)))
		}
		// Both connections are in transactions: nothing may wait for a third.
		must(t, producer.InTx(t.Context(), db, nil, func(ctx context.Context, outer *sql.Tx) error {
			must(t, insert(ctx, outer))
			must(t, producer.InTx(ctx, db, nil, insert))
			no := errors.New("no")
			if err := producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error { return errors.Join(insert(ctx, tx), no) }); !errors.Is(err, no) {
				t.Errorf("got %v", err)
			}
			return nil
		}))
		if n := count(t, db); n != 12 {
			t.Errorf("%d rows, want 12", n)
		}
		exec(t, db, "ALTER TABLE outbox ADD COLUMN more INT NULL")
		must(t, producer.InTx(t.Context(), db, nil, insert))
		err = producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
			var id int64
			must(t, tx.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id))
			exec(t, db, fmt.Sprintf("KILL CONNECTION %d", id))
			return insert(ctx, tx)
		})
		if err == nil {
			t.Error("an insert on a killed connection succeeded")
		}
		must(t, producer.InTx(t.Context(), db, nil, insert))
		if n := count(t, db); n != 24 {
			t.Errorf("%d rows, want 24", n)
		}
		db.SetMaxOpenConns(1)
		must(t, p.Insert(t.Context(), db, event(7))) // now this connection has it
		prepares := status(t, db, "Com_stmt_prepare")
		must(t, p.Insert(t.Context(), db, event(8)))
		if got := status(t, db, "Com_stmt_prepare"); got != prepares {
			t.Errorf("an insert prepared a statement: %s, then %s", prepares, got)
		}
	})
}

// status is a counter of the session, of a pool of one.
func status(t testing.TB, db *sql.DB, name string) (value string) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), "SHOW SESSION STATUS LIKE '"+name+"'").Scan(&name, &value))
	return value
}
