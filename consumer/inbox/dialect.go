package inbox

import (
	_ "embed"
	"errors"
	"strings"

	"github.com/binjet/binjet"
)

//go:embed schema/mysql.sql
var mysqlSchema string

// Dialect is how one family of databases is spoken to. The zero value is not a
// dialect: take one of the constants.
type Dialect int

// The dialects. The zero value of [SQLConfig] takes MySQL.
const (
	// MySQL speaks to MySQL 8.0 or newer and to MariaDB 10.6 or newer.
	MySQL Dialect = iota + 1
)

// statements are what an inbox sends. Each takes consumer and message ID as
// its two arguments, but for schema, which takes none.
type statements struct {
	schema  string
	insert  string // fails when a committed mark is there, waits while it is uncommitted
	present string // one row when the mark is there and committed, or this transaction's own
}

// newStatements fills in the table, quoted as the dialect wants it.
func newStatements(d Dialect, table string) (statements, error) {
	switch d {
	case MySQL:
		quoted, err := binjet.QuoteTable(table)
		if err != nil {
			return statements{}, err
		}
		return statements{
			schema: strings.TrimSpace(strings.Replace(mysqlSchema, "{{table}}", quoted, 1)),
			insert: "INSERT INTO " + quoted + " (consumer, message_id) VALUES (?, ?)",
			// A locking read sees what is committed now, whatever the isolation level:
			// not an old snapshot (REPEATABLE READ), nothing uncommitted (READ
			// UNCOMMITTED). This spelling is the one both flavours have.
			present: "SELECT 1 FROM " + quoted + " WHERE consumer = ? AND message_id = ? LOCK IN SHARE MODE",
		}, nil
	default:
		return statements{}, errors.New("unknown inbox dialect")
	}
}
