package mapping

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

var schemas atomic.Int32

func TestMain(m *testing.M) { os.Exit(testdb.Run(m, func() error { return goleak.Find() })) }

// world is a database of its own on a server.
type world struct {
	srv    *dbserver.Server
	db     *sql.DB // in the schema
	schema string
}

// eachFlavor runs the test on both flavours, in parallel.
func eachFlavor(t *testing.T, test func(t *testing.T, w *world)) {
	for _, flavor := range testdb.Flavors() {
		t.Run(flavor.String(), func(t *testing.T) {
			t.Parallel()
			w := &world{srv: testdb.Shared(t, flavor), schema: fmt.Sprintf("s%d", schemas.Add(1))}
			testdb.Create(t, w.srv, w.schema)
			w.db = testdb.Open(t, w.srv.DSN(w.schema))
			test(t, w)
		})
	}
}

func (w *world) mariaDB() bool { return w.srv.Flavor() == dbserver.MariaDB }

// can reports whether the server knows a statement, which leaves nothing behind.
func (w *world) can(t *testing.T, statement string) bool {
	t.Helper()
	_, err := w.db.ExecContext(t.Context(), statement)
	return err == nil
}

func (w *world) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := w.db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// reader reads the tables by a mapping.
func (w *world) reader(t *testing.T, start string, change func(*binlog.Config)) *binlog.Reader {
	t.Helper()
	dsn, err := mysql.ParseDSN(w.srv.DSN(w.schema))
	must(t, err)
	cfg := binlog.Config{Addr: dsn.Addr, User: dsn.User, Password: dsn.Passwd, Database: w.schema, Tables: []string{"outbox"}, Start: start}
	change(&cfg)
	r, err := binlog.New(cfg)
	must(t, err)
	return r
}

var errEnough = errors.New("enough")

// read yields messages from where the start policy begins, up to n of them.
func read(t *testing.T, r *binlog.Reader, n int) (list []binjet.Message, invalid []string) {
	t.Helper()
	p, err := r.Begin(t.Context())
	must(t, err)
	return readFrom(t, r, &p, n)
}

// readFrom moves p, and ends behind the page or transaction with message n.
func readFrom(t *testing.T, r *binlog.Reader, p *checkpoint.Position, n int) (list []binjet.Message, invalid []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := r.Stream(ctx, *p, func(tx *checkpoint.Transaction) error {
		p.Apply(tx)
		list = append(list, tx.Messages...)
		for _, bad := range tx.Invalid {
			invalid = append(invalid, bad.Reason)
		}
		if len(list) >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("read %d of %d messages: %v", len(list), n, err)
	}
	return list, invalid
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// describe is all of a message but when it was created, in lines that can be compared.
func describe(m *binjet.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s key=%q type=%q\n", m.ID, m.Topic, m.Key, m.ContentType)
	for _, name := range m.Headers.Keys() {
		fmt.Fprintf(&b, "  %s: %q\n", name, m.Headers[name])
	}
	fmt.Fprintf(&b, "  %s\n", m.Payload)
	return b.String()
}
