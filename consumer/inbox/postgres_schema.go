package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

func (p postgres) faults(ctx context.Context, db *sql.DB) ([]fault, error) {
	var kind, persistence string
	err := db.QueryRowContext(ctx, "SELECT relkind::text, relpersistence::text FROM pg_class WHERE oid = to_regclass($1)", p.quoted).Scan(&kind, &persistence)
	if errors.Is(err, sql.ErrNoRows) {
		return []fault{{"there is no such table", p.schema()}}, nil
	}
	if err != nil {
		return nil, err
	}
	var faults []fault
	if kind != "r" && kind != "p" {
		faults = append(faults, fault{what: fmt.Sprintf("it is no table (relkind %q)", kind)})
	}
	if persistence != "p" {
		faults = append(faults, fault{what: "it is UNLOGGED or TEMPORARY, and empty after a crash: a logged table is needed"})
	}
	columns, err := p.columns(ctx, db)
	if err != nil {
		return nil, err
	}
	keys, err := p.keys(ctx, db)
	if err != nil {
		return nil, err
	}
	faults = append(faults, checkColumns(columns, map[string]func(column) (fault, bool){
		"consumer": checkKeyColumn, "message_id": checkKeyColumn, "created_at": checkPostgresTime,
	}, nil)...)
	return append(faults, checkKeys(keys, key{columns: []string{"message_id", "consumer"}}, p.schema()[1])...), nil
}

func checkPostgresTime(c column) (fault, bool) {
	if !strings.HasPrefix(c.kind, "timestamp") || !strings.HasSuffix(c.kind, "with time zone") || !c.def.Valid {
		return fault{what: fmt.Sprintf("column created_at is %s with the default %q: timestamptz with the default clock_timestamp() is needed",
			c.kind, c.def.String)}, false
	}
	return fault{}, true
}

func (p postgres) columns(ctx context.Context, db *sql.DB) ([]column, error) {
	rows, err := db.QueryContext(ctx, `SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
			pg_get_expr(d.adbin, d.adrelid), COALESCE(c.collname, ''), COALESCE(c.collisdeterministic, true)
		FROM pg_attribute a
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		LEFT JOIN pg_collation c ON c.oid = a.attcollation
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = ''
		ORDER BY a.attnum`, p.quoted)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.kind, &c.nullable, &c.def, &c.collation, &c.exact); err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// keys leaves out those that can't be relied on: partial, invalid or deferrable ones.
func (p postgres) keys(ctx context.Context, db *sql.DB) ([]key, error) {
	rows, err := db.QueryContext(ctx, `SELECT i.indexrelid::text, i.indisunique AND i.indimmediate, COALESCE(a.attname, '')
		FROM pg_index i
		CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(column_number, place)
		LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.column_number
		WHERE i.indrelid = to_regclass($1) AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts
		ORDER BY i.indexrelid, k.place`, p.quoted)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return scanKeys(rows, func() (name string, unique bool, column string, whole bool, err error) {
		err = rows.Scan(&name, &unique, &column)
		return name, unique, column, true, err
	})
}
