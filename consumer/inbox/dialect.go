package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/binjet/binjet"
)

// Dialect is how one family of databases is spoken to. The zero value is not a
// dialect: take one of the constants. What each needs stands in the package's
// documentation.
type Dialect int

// The dialects. The zero value of [SQLConfig] takes MySQL.
const (
	// MySQL speaks to MySQL 8.0.13 or newer and to MariaDB 10.6 or newer.
	MySQL Dialect = iota + 1
	// PostgreSQL speaks to PostgreSQL 12 or newer.
	PostgreSQL
	// SQLite speaks to SQLite 3.35 or newer.
	SQLite
)

// String is the product's own spelling of its name.
func (d Dialect) String() string {
	switch d {
	case MySQL:
		return "MySQL"
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return fmt.Sprintf("Dialect(%d)", int(d))
}

// speech is what differs between the databases. Statements take their arguments
// in the order in which they are named here.
type speech interface {
	// schema are the statements that create what is absent.
	schema() []string
	// claim inserts one mark (consumer, ID). It waits while another transaction
	// holds an uncommitted one, and affects one row when the mark is new. When
	// one is there it fails or affects none.
	claim() string
	// present gives one row when the mark (consumer, ID) is there and committed,
	// or the transaction's own.
	present() string
	// presentMany counts how many of the marks of ids are present. Each has to be
	// looked up by primary key whatever the server knows of the table: a plan that
	// reads a consumer's other marks takes ever longer, and locks them on MySQL.
	presentMany(consumer string, ids []string) (query string, args []any)
	// claimMany inserts the marks of ids, which are sorted, and returns which of
	// them are new.
	claimMany(ctx context.Context, tx *sql.Tx, consumer string, ids []string) ([]string, error)
	// faults tells what keeps the table from being an inbox.
	faults(ctx context.Context, db *sql.DB) ([]fault, error)
	// prune is how old marks are found, and remove deletes those of ids that are
	// older than before: by primary key, or it would lock more than it deletes.
	prune() pruning
	remove(consumer, before string, ids []string) (query string, args []any)

	// spell is a statement and its arguments as they are best sent.
	spell(query string, args ...any) (string, []any)

	quotedTable() string
	place(n int) string // the n-th argument, from 1
}

func newSpeech(d Dialect, table string) (speech, error) {
	quoted, err := binjet.QuoteTable(table)
	if err != nil {
		return nil, err
	}
	qualifier, name, ok := strings.Cut(table, ".")
	if !ok {
		qualifier, name = "", table
	}
	t := tableName{qualifier: qualifier, name: name, quoted: quoted}
	switch d {
	case MySQL:
		t.placeholder = func(int) string { return "?" }
		return mysql{t}, nil
	case PostgreSQL:
		t.placeholder = func(n int) string { return "$" + strconv.Itoa(n) }
	case SQLite:
		t.placeholder = func(n int) string { return "?" + strconv.Itoa(n) }
	default:
		return nil, fmt.Errorf("unknown dialect %s", d)
	}
	t.quoted = strings.ReplaceAll(quoted, "`", `"`)
	if len(t.indexName()) > 63 || len(qualifier) > 63 {
		return nil, fmt.Errorf("table %q: the name is too long: at most 52 characters leave room for its index", table)
	}
	if d == PostgreSQL {
		return postgres{t}, nil
	}
	return sqlite{t}, nil
}

// tableName is the table as one dialect writes it.
type tableName struct {
	qualifier, name string // as configured; qualifier may be ""
	quoted          string
	placeholder     func(n int) string
}

func (t tableName) spell(query string, args ...any) (string, []any) { return query, args }

func (t tableName) quotedTable() string { return t.quoted }
func (t tableName) place(n int) string  { return t.placeholder(n) }

func (t tableName) indexName() string { return t.name + "_created_at" }

// fill puts the table's names into a schema file and splits its statements.
func (t tableName) fill(schema, index string) []string {
	schema = strings.NewReplacer("{{table}}", t.quoted, "{{index}}", index, "{{name}}", `"`+t.name+`"`).Replace(schema)
	return strings.Split(strings.TrimSpace(schema), ";\n")
}

// places are n placeholders, the first of which is the given one.
func (t tableName) places(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.place(first + i))
	}
	return b.String()
}

func (t tableName) present() string {
	return "SELECT 1 FROM " + t.quoted + " WHERE consumer = " + t.place(1) + " AND message_id = " + t.place(2)
}

// claimReturning is claimMany where an INSERT can say what it inserted.
func (t tableName) claimReturning(ctx context.Context, tx *sql.Tx, consumer string, ids []string) ([]string, error) {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.quoted + " (consumer, message_id) VALUES ")
	for i := range ids {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + t.place(1) + ", " + t.place(i+2) + ")")
	}
	b.WriteString(" ON CONFLICT (consumer, message_id) DO NOTHING RETURNING message_id")
	return queryStrings(ctx, tx, b.String(), arguments(consumer, ids)...)
}

func arguments(consumer string, ids []string) []any {
	args := make([]any, 0, len(ids)+1)
	args = append(args, consumer)
	for _, id := range ids {
		args = append(args, id)
	}
	return args
}

// queryer is a transaction or a database.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func queryStrings(ctx context.Context, q queryer, query string, args ...any) ([]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
