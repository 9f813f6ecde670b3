package produce

import (
	"database/sql"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

var schemas atomic.Int32

func TestMain(m *testing.M) {
	// gorm never ends the goroutine of its cache of prepared statements.
	leak := func() error {
		return goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
	}
	os.Exit(testdb.Run(m, leak))
}

// eachFlavor runs the test on both flavours, in parallel.
func eachFlavor(t *testing.T, test func(t *testing.T, s *dbserver.Server)) {
	for _, flavor := range testdb.Flavors() {
		t.Run(flavor.String(), func(t *testing.T) {
			t.Parallel()
			test(t, testdb.Shared(t, flavor))
		})
	}
}

// schema makes a database of its own with an outbox table and returns its DSN.
func schema(t testing.TB, s *dbserver.Server, params string) string {
	t.Helper()
	name := fmt.Sprintf("s%d", schemas.Add(1))
	testdb.Create(t, s, name)
	create, err := binjet.OutboxSQL(name + "." + binjet.DefaultTable)
	must(t, err)
	exec(t, testdb.Open(t, s.DSN("")), create)
	return s.DSN(name) + params
}

func exec(t testing.TB, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func newProducer(t testing.TB, cfg producer.Config) *producer.Producer {
	t.Helper()
	p, err := producer.New(cfg)
	must(t, err)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
