package test

import (
	"errors"
	"strings"
	"testing"

	"github.com/binjet/binjet/consumer/inbox"
)

// badTable is one that can't be the inbox, or, when fixed is true, one that
// EnsureSchema makes one of.
type badTable struct {
	name  string
	ddl   string
	want  []string // what Validate says of each fault
	fixed bool
}

const (
	mysqlKeys  = "PRIMARY KEY (consumer, message_id), KEY (consumer, created_at)"
	mysqlAt    = "created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)), batch BIGINT NULL"
	mysqlNames = "consumer VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, message_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
)

func badMySQL() []badTable {
	return []badTable{
		{"MyISAM", "CREATE TABLE inbox (" + mysqlNames + "," + mysqlAt + "," + mysqlKeys + ") ENGINE=MyISAM", []string{"engine is \"MyISAM\""}, false},
		{"a collation that ignores case", "CREATE TABLE inbox (consumer VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, message_id VARCHAR(64) COLLATE utf8mb4_general_ci NOT NULL," +
			mysqlAt + "," + mysqlKeys + ") CHARACTER SET utf8mb4", []string{"message_id has the collation utf8mb4_general_ci"}, false},
		{"too short", "CREATE TABLE inbox (consumer VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, message_id VARCHAR(36) COLLATE utf8mb4_bin NOT NULL," +
			mysqlAt + "," + mysqlKeys + ") CHARACTER SET utf8mb4", []string{"message_id is varchar(36)"}, false},
		{"padded", "CREATE TABLE inbox (consumer VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, message_id CHAR(64) COLLATE utf8mb4_bin NOT NULL," +
			mysqlAt + "," + mysqlKeys + ") CHARACTER SET utf8mb4", []string{"message_id is char(64)"}, false},
		{"no key", "CREATE TABLE inbox (" + mysqlNames + "," + mysqlAt + ", KEY (consumer, created_at))", []string{"no primary key"}, false},
		{"a key on a part", "CREATE TABLE inbox (" + mysqlNames + "," + mysqlAt + ", UNIQUE KEY (consumer, message_id(20)), KEY (consumer, created_at))", []string{"no primary key"}, false},
		{"a key of another name", "CREATE TABLE inbox (" + mysqlNames + "," + mysqlAt + ", UNIQUE KEY (consumer, message_id), KEY (consumer, created_at))", []string{"no primary key"}, false},
		{"a key on less", "CREATE TABLE inbox (" + mysqlNames + "," + mysqlAt + ", PRIMARY KEY (message_id), KEY (consumer, created_at))", []string{"no primary key"}, false},
		{"a time of some zone", "CREATE TABLE inbox (" + mysqlNames + ", created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), batch BIGINT NULL," + mysqlKeys + ")",
			[]string{"created_at is timestamp(6)"}, false},
		{"a column that wants a value", "CREATE TABLE inbox (" + mysqlNames + "," + mysqlAt + ", tenant INT NOT NULL," + mysqlKeys + ")", []string{"column tenant"}, false},
		{"many faults", "CREATE TABLE inbox (consumer INT NOT NULL, message_id INT NOT NULL, batch INT NULL) ENGINE=MyISAM",
			[]string{"engine", "consumer is int", "message_id is int", "batch is int", "created_at is missing", "no primary key", "no index"}, false},
		{"an older one", "CREATE TABLE inbox (" + mysqlNames + ", created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)), PRIMARY KEY (consumer, message_id))",
			[]string{"batch is missing", "no index"}, true},
		{"one with more", "CREATE TABLE inbox (" + mysqlNames + "," + mysqlAt + ", note TEXT NULL, n INT NOT NULL DEFAULT 1," + mysqlKeys + ")", nil, true},
	}
}

const (
	postgresKeys = "PRIMARY KEY (message_id, consumer)"
	postgresAt   = "created_at timestamptz NOT NULL DEFAULT clock_timestamp()"
)

func badPostgres() []badTable {
	const index = "; CREATE INDEX ON inbox (consumer, created_at)"
	return []badTable{
		{"unlogged", "CREATE UNLOGGED TABLE inbox (consumer text, message_id text, " + postgresAt + "," + postgresKeys + ")" + index, []string{"UNLOGGED"}, false},
		{"a view", "CREATE VIEW inbox AS SELECT ''::text AS consumer, ''::text AS message_id, now() AS created_at", []string{"no table", "created_at", "no primary key", "no index"}, false},
		{"a collation that ignores case", "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE inbox (consumer text, message_id text COLLATE loose, " +
			postgresAt + "," + postgresKeys + ")" + index, []string{"message_id has the collation loose"}, false},
		{"another type", "CREATE TABLE inbox (consumer text, message_id uuid, " + postgresAt + "," + postgresKeys + ")" + index, []string{"message_id is uuid"}, false},
		{"padded", "CREATE TABLE inbox (consumer text, message_id char(64), " + postgresAt + "," + postgresKeys + ")" + index, []string{"message_id is character(64)"}, false},
		{"no key", "CREATE TABLE inbox (consumer text, message_id text, " + postgresAt + ")" + index, []string{"no primary key"}, false},
		{"a deferred key", "CREATE TABLE inbox (consumer text, message_id text, " + postgresAt + "," + postgresKeys + " DEFERRABLE)" + index, []string{"no primary key"}, false},
		{"a key by which it is not looked up", "CREATE TABLE inbox (consumer text, message_id text, " + postgresAt + ", PRIMARY KEY (consumer, message_id))" + index, []string{"no primary key (message_id, consumer)"}, false},
		{"a partial key", "CREATE TABLE inbox (consumer text, message_id text, " + postgresAt + "); CREATE UNIQUE INDEX ON inbox (consumer, message_id) WHERE consumer <> ''" + index, []string{"no primary key"}, false},
		{"a time without a zone", "CREATE TABLE inbox (consumer text, message_id text, created_at timestamp NOT NULL DEFAULT now()," + postgresKeys + ")" + index, []string{"created_at is timestamp without time zone"}, false},
		{"a column that wants a value", "CREATE TABLE inbox (consumer text, message_id text, tenant int NOT NULL, " + postgresAt + "," + postgresKeys + ")" + index, []string{"column tenant"}, false},
		{"an older one", "CREATE TABLE inbox (consumer text, message_id text, " + postgresAt + "," + postgresKeys + ")", []string{"no index"}, true},
		{"one with more", "CREATE TABLE inbox (n int GENERATED ALWAYS AS IDENTITY, consumer varchar, message_id varchar(100), note text, " + postgresAt + "," + postgresKeys + ")" + index, nil, true},
	}
}

func badSQLite() []badTable {
	const at = "created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))"
	const keys, index = "PRIMARY KEY (consumer, message_id)", "; CREATE INDEX i ON inbox (consumer, created_at)"
	return []badTable{
		{"numbers", "CREATE TABLE inbox (consumer TEXT NOT NULL, message_id NUMERIC NOT NULL, " + at + "," + keys + ")" + index, []string{"message_id is numeric"}, false},
		{"a type that means numbers", "CREATE TABLE inbox (consumer TEXT NOT NULL, message_id VARBINARY(64) NOT NULL, " + at + "," + keys + ")" + index, []string{"message_id is varbinary(64)"}, false},
		{"a collation that ignores case", "CREATE TABLE inbox (consumer TEXT NOT NULL, message_id TEXT COLLATE NOCASE NOT NULL, " + at + "," + keys + ")" + index, []string{"message_id has the collation NOCASE"}, false},
		{"no key", "CREATE TABLE inbox (consumer TEXT NOT NULL, message_id TEXT NOT NULL, " + at + ")" + index, []string{"no primary key"}, false},
		{"another time", "CREATE TABLE inbox (consumer TEXT NOT NULL, message_id TEXT NOT NULL, created_at INTEGER NOT NULL DEFAULT 0, " + keys + ")" + index, []string{"created_at is integer"}, false},
		{"a column that wants a value", "CREATE TABLE inbox (consumer TEXT NOT NULL, message_id TEXT NOT NULL, tenant INT NOT NULL, " + at + "," + keys + ")" + index, []string{"column tenant"}, false},
		{"an older one", "CREATE TABLE inbox (consumer TEXT NOT NULL, message_id TEXT NOT NULL, " + at + "," + keys + ")", []string{"no index"}, true},
		{"one with more", "CREATE TABLE inbox (consumer VARCHAR(64) NOT NULL, message_id TEXT NOT NULL, note, " + at + "," + keys + ")" + index, nil, true},
	}
}

// TestInboxSchema: Validate names every fault, EnsureSchema mends what it can and
// says the rest.
func TestInboxSchema(t *testing.T) {
	t.Parallel()
	bad := map[inbox.Dialect][]badTable{inbox.MySQL: badMySQL(), inbox.PostgreSQL: badPostgres(), inbox.SQLite: badSQLite()}
	for name, start := range inboxDBs() {
		t.Run(strings.ReplaceAll(name, " ", ""), func(t *testing.T) {
			t.Parallel()
			d := start(t)
			for _, b := range bad[d.dialect] {
				t.Run(b.name, func(t *testing.T) { d.testBadTable(t, b) })
			}
			t.Run("in another schema", d.testQualified)
		})
	}
}

func (d inboxDB) testBadTable(t *testing.T, b badTable) {
	db := d.open(t)
	for _, statement := range strings.Split(b.ddl, ";") {
		execSQL(t, db, statement)
	}
	in := d.inbox(t, inbox.SQLConfig{})
	check := func(err error) {
		t.Helper()
		var bad *inbox.SchemaError
		switch {
		case len(b.want) == 0:
			must(t, err)
			return
		case !errors.As(err, &bad):
			t.Fatalf("got %v", err)
		}
		if len(bad.Faults) != len(b.want) {
			t.Errorf("%d faults, want %d: %v", len(bad.Faults), len(b.want), err)
		}
		for _, want := range b.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("no %q in: %v", want, err)
			}
		}
	}
	check(in.Validate(t.Context(), db))
	if b.fixed {
		b.want = nil
	}
	if err := in.EnsureSchema(t.Context(), db); b.fixed || len(b.want) == 1 {
		check(err)
	} else if err == nil {
		t.Error("EnsureSchema is content")
	}
	if b.fixed {
		must(t, in.Validate(t.Context(), db))
	}
}

// testQualified: a table that is named with its schema, where the session's own
// has none.
func (d inboxDB) testQualified(t *testing.T) {
	db := d.open(t)
	table, create := "elsewhere.Seen-1", "CREATE DATABASE elsewhere"
	switch d.dialect {
	case inbox.PostgreSQL:
		create = "CREATE SCHEMA elsewhere"
	case inbox.SQLite:
		table, create = "main.Seen-1", "SELECT 1"
	}
	execSQL(t, db, create)
	in := d.inbox(t, inbox.SQLConfig{Table: table})
	must(t, in.EnsureSchema(t.Context(), db))
	must(t, in.Validate(t.Context(), db))
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	must(t, in.Claim(t.Context(), tx, "c", "1"))
	fresh, err := in.ClaimBatch(t.Context(), tx, "c", []string{"1", "2"})
	must(t, err)
	if fresh[0] || !fresh[1] {
		t.Errorf("fresh is %v", fresh)
	}
	must(t, tx.Commit())
	if _, err := in.Prune(t.Context(), db, "c", 1e9, inbox.Pace{}); err != nil {
		t.Error(err)
	}
	if err := d.inbox(t, inbox.SQLConfig{}).Validate(t.Context(), db); err == nil {
		t.Error("the table is found without its schema too")
	}
}
