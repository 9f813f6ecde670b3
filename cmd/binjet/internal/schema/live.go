package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/outboxtable"
)

// Live is a table as the server has it.
type Live struct {
	Table  string // as it was asked for
	Exists bool

	Engine, Comment string
	// Version is in the comment, or 1 where the comment has none (Recorded is false
	// then): tables were made before it was recorded, and by people.
	Version  int
	Recorded bool
	Columns  map[string]Column // by name in lower case
	Primary  []string          // columns of the primary key, in lower case
	Unique   [][]string        // those of every unique key, the primary one included

	Partitions []outboxtable.Partition
	// Foreign says why the partitions are not by day; nil when they are, or there are none.
	Foreign error
}

// Column is one as information_schema describes it.
type Column struct {
	Name, Type     string // Type is whole, such as varchar(64)
	Kind           string // and without its size
	Length         int64  // in characters or bytes; 0 where it has none
	Precision      int    // of a point in time
	Collation      string
	Null, HasValue bool // HasValue: a row may leave it out
}

// errors of the server by which a table is absent.
const (
	errNoSuchTable     = 1146
	errUnknownDatabase = 1049
)

// Variant is what the table is, by its engine and partitions.
func (l Live) Variant() binjet.Variant {
	switch {
	case strings.EqualFold(l.Engine, "BLACKHOLE"):
		return binjet.Blackhole
	case len(l.Partitions) > 0:
		return binjet.Partitioned
	}
	return binjet.InnoDB
}

// Inspect looks at a table, for which the account needs any privilege on it.
func Inspect(ctx context.Context, db outboxtable.Querier, table string) (Live, error) {
	l := Live{Table: table, Version: 1}
	quoted, err := binjet.QuoteTable(table)
	if err != nil {
		return l, err
	}
	switch err := probe(ctx, db, quoted); code(err) {
	case errNoSuchTable, errUnknownDatabase:
		return l, nil
	default:
		if err != nil {
			return l, fmt.Errorf("look at table %s: %w", table, err)
		}
	}
	l.Exists = true
	schema, name := parts(table)
	if err := l.describe(ctx, db, schema, name); err != nil {
		return l, fmt.Errorf("look at table %s: %w", table, err)
	}
	l.Partitions, l.Foreign = outboxtable.Load(ctx, db, schema, name)
	return l, nil
}

func probe(ctx context.Context, db outboxtable.Querier, quoted string) error {
	return each(ctx, db, func(*sql.Rows) error { return nil }, "SELECT 1 FROM "+quoted+" LIMIT 0")
}

// parts are a table's schema, "" for the connection's, and name.
func parts(table string) (schema, name string) {
	if schema, name, ok := strings.Cut(table, "."); ok {
		return schema, name
	}
	return "", table
}

const ofTable = " WHERE TABLE_SCHEMA=COALESCE(NULLIF(?,''),DATABASE()) AND TABLE_NAME=?"

func (l *Live) describe(ctx context.Context, db outboxtable.Querier, schema, name string) error {
	err := each(ctx, db, func(rows *sql.Rows) error {
		return rows.Scan(&l.Engine, &l.Comment)
	}, "SELECT COALESCE(ENGINE,''), TABLE_COMMENT FROM information_schema.TABLES"+ofTable, schema, name)
	if err != nil {
		return err
	}
	if v, ok := binjet.SchemaVersionOf(l.Comment); ok {
		l.Version, l.Recorded = v, true
	}
	l.Columns = make(map[string]Column)
	err = each(ctx, db, func(rows *sql.Rows) error {
		var c Column
		var null, extra string
		var value sql.NullString
		if err := rows.Scan(&c.Name, &c.Type, &c.Kind, &c.Length, &c.Precision, &c.Collation, &null, &value, &extra); err != nil {
			return err
		}
		c.Null = null == "YES"
		c.HasValue = c.Null || value.Valid || strings.Contains(strings.ToLower(extra), "auto_increment") || strings.Contains(strings.ToLower(extra), "generated")
		l.Columns[strings.ToLower(c.Name)] = c
		return nil
	}, "SELECT COLUMN_NAME, LOWER(COLUMN_TYPE), LOWER(DATA_TYPE), COALESCE(CHARACTER_MAXIMUM_LENGTH,0), COALESCE(DATETIME_PRECISION,0), "+
		"LOWER(COALESCE(COLLATION_NAME,'')), IS_NULLABLE, COLUMN_DEFAULT, EXTRA FROM information_schema.COLUMNS"+ofTable, schema, name)
	if err != nil {
		return err
	}
	return l.keys(ctx, db, schema, name)
}

func (l *Live) keys(ctx context.Context, db outboxtable.Querier, schema, name string) error {
	last := ""
	return each(ctx, db, func(rows *sql.Rows) error {
		var index, column string
		if err := rows.Scan(&index, &column); err != nil {
			return err
		}
		if index == "PRIMARY" {
			l.Primary = append(l.Primary, column)
		}
		if index != last {
			l.Unique, last = append(l.Unique, nil), index
		}
		l.Unique[len(l.Unique)-1] = append(l.Unique[len(l.Unique)-1], column)
		return nil
	}, "SELECT INDEX_NAME, LOWER(COALESCE(COLUMN_NAME,'')) FROM information_schema.STATISTICS"+ofTable+" AND NON_UNIQUE=0 ORDER BY INDEX_NAME, SEQ_IN_INDEX", schema, name)
}

// HasEngine reports whether the server can make tables of an engine: one that it
// does not know it would replace by another, unless its sql_mode forbids that.
func HasEngine(ctx context.Context, db outboxtable.Querier, engine string) (found bool, err error) {
	err = each(ctx, db, func(*sql.Rows) error {
		found = true
		return nil
	}, "SELECT 1 FROM information_schema.ENGINES WHERE ENGINE=? AND SUPPORT IN ('YES','DEFAULT')", engine)
	return found, err
}

func each(ctx context.Context, db outboxtable.Querier, row func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// code is the server's number of an error; 0 for any other.
func code(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}
