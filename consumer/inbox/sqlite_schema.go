package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// pragma is a table-valued function's arguments: the table's or index's name and
// the schema.
func (s sqlite) pragma(name string) string {
	if s.qualifier == "" {
		return "('" + name + "')"
	}
	return "('" + name + "', '" + s.qualifier + "')"
}

func (s sqlite) faults(ctx context.Context, db *sql.DB) ([]fault, error) {
	columns, err := s.columns(ctx, db)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return []fault{{"there is no such table", s.schema()}}, nil
	}
	keys, inexact, err := s.keys(ctx, db)
	if err != nil {
		return nil, err
	}
	for i := range columns {
		columns[i].collation, columns[i].exact = inexact[columns[i].name], inexact[columns[i].name] == ""
	}
	faults := checkColumns(columns, map[string]func(column) (fault, bool){
		"consumer": checkKeyColumn, "message_id": checkKeyColumn, "created_at": checkSQLiteTime,
	}, nil)
	return append(faults, checkKeys(keys, key{columns: []string{"consumer", "message_id"}}, s.schema()[1])...), nil
}

func checkSQLiteTime(c column) (fault, bool) {
	if c.kind != "text" || !strings.Contains(c.def.String, "strftime") {
		return fault{what: fmt.Sprintf("column created_at is %s with the default %q: text with the default (strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')) is needed",
			c.kind, c.def.String)}, false
	}
	return fault{}, true
}

func (s sqlite) columns(ctx context.Context, db *sql.DB) ([]column, error) {
	rows, err := db.QueryContext(ctx, `SELECT name, type, "notnull" = 0, dflt_value FROM pragma_table_info`+s.pragma(s.name))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.kind, &c.nullable, &c.def); err != nil {
			return nil, err
		}
		c.name, c.kind = strings.ToLower(c.name), strings.ToLower(c.kind)
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// keys also returns the columns that stand in a unique key with a collation other
// than BINARY. Partial indexes are left out.
func (s sqlite) keys(ctx context.Context, db *sql.DB) ([]key, map[string]string, error) {
	inexact := map[string]string{}
	rows, err := db.QueryContext(ctx, `SELECT l.name, l."unique", COALESCE(x.name, ''), x.coll
		FROM pragma_index_list`+s.pragma(s.name)+` AS l, pragma_index_xinfo(l.name`+s.schemaArgument()+`) AS x
		WHERE x.key = 1 AND l.partial = 0 ORDER BY l.seq, x.seqno`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	keys, err := scanKeys(rows, func() (name string, unique bool, column string, whole bool, err error) {
		var collation string
		err = rows.Scan(&name, &unique, &column, &collation)
		column = strings.ToLower(column)
		if unique && collation != "BINARY" {
			inexact[column] = collation
		}
		return name, unique, column, true, err
	})
	return keys, inexact, err
}

func (s sqlite) schemaArgument() string {
	if s.qualifier == "" {
		return ""
	}
	return ", '" + s.qualifier + "'"
}
