package schema

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestVariants: a table of each variant, from the command that makes it to the stream.
func TestVariants(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		for _, variant := range binjet.Variants() {
			t.Run(string(variant), func(t *testing.T) {
				w := newWorld(t, w.flavor)
				js := w.broker(t)
				w.want(t, 0, []string{"created"}, "init", "--variant="+string(variant))
				w.want(t, 0, []string{"exists"}, "init")
				out, err := producer.New(producer.Config{})
				must(t, err)
				insert := func(topic string) {
					must(t, producer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
						return out.Insert(ctx, tx, &binjet.Message{Topic: topic, Payload: []byte("x")}, &binjet.Message{Topic: topic, Payload: []byte("y")})
					}))
				}
				want := []string{"outbox.late.a", "outbox.late.a"}
				if variant != binjet.Blackhole { // whose snapshot is of nothing
					insert("early.a")
					want = append([]string{"outbox.early.a", "outbox.early.a"}, want...)
				}
				stop := w.stream(t)
				if variant == binjet.Blackhole {
					w.untilFollows(t, js)
				} else {
					untilStored(t, js, 2)
				}
				insert("late.a")
				for i, m := range untilStored(t, js, len(want)) {
					if m.Subject() != want[i] {
						t.Errorf("message %d is %s, want %s", i, m.Subject(), want[i])
					}
				}
				stop()
			})
		}
	})
}

// account makes one with these privileges on the schema, and the command use it.
func (w *world) account(t *testing.T, name, privileges string) {
	t.Helper()
	user := fmt.Sprintf("'%s_%s'@'%%'", w.schema, name)
	w.exec(t, "CREATE USER "+user+" IDENTIFIED BY ''", "GRANT "+privileges+" ON "+w.schema+".* TO "+user)
	t.Cleanup(func() { _, _ = w.db.ExecContext(context.Background(), "DROP USER "+user) })
	w.dsn = fmt.Sprintf("%s_%s@tcp(%s)/%s", w.schema, name, testdb.Shared(t, w.flavor).Addr(), w.schema)
}

// TestGrants: each command needs what docs/schema.md says, and names what lacks.
func TestGrants(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.account(t, "none", "INSERT")
		w.want(t, 1, []string{"schema print"}, "schema", "up")
		w.account(t, "create", "SELECT, CREATE")
		w.want(t, 0, []string{"created"}, "schema", "up", "--tables=outbox")
		w.want(t, 0, []string{"created"}, "schema", "up", "--tables=days", "--variant=partitioned")
		w.account(t, "look", "SELECT")
		w.want(t, 0, []string{"exists"}, "schema", "up")
		w.want(t, 0, nil, "schema", "validate")
		shorten(t, w, "days", 2)
		w.want(t, 1, []string{"denied"}, "schema", "up", "--tables=days")
		w.account(t, "days", "SELECT, ALTER, CREATE, INSERT, DROP")
		w.want(t, 0, []string{"changed"}, "schema", "up", "--tables=days")
		w.account(t, "down", "SELECT, DROP, LOCK TABLES")
		w.want(t, 0, []string{"dropped"}, "schema", "down", "--yes", "--tables=outbox,days")
	})
}

// TestNoBlackhole: a server without the engine would make another table in its place.
func TestNoBlackhole(t *testing.T) {
	t.Parallel()
	s := testdb.New(t, dbserver.Options{Flavor: dbserver.MariaDB})
	testdb.Create(t, s, "shop")
	w := &world{flavor: dbserver.MariaDB, schema: "shop", dsn: s.DSN("shop")}
	w.db = testdb.Open(t, w.dsn)
	w.exec(t, "SET GLOBAL sql_mode=''")
	w.want(t, 1, []string{"no engine BLACKHOLE", "INSTALL SONAME 'ha_blackhole'"}, "schema", "up", "--variant=blackhole")
	if left := w.tables(t); left != "" {
		t.Error(left)
	}
}
