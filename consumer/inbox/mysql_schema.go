package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// inSchema is the table's database: the named one, or the connection's own.
func (m mysql) inSchema() (condition string, args []any) {
	if m.qualifier == "" {
		return "table_schema = DATABASE() AND table_name = ?", []any{m.name}
	}
	return "table_schema = ? AND table_name = ?", []any{m.qualifier, m.name}
}

func (m mysql) faults(ctx context.Context, db *sql.DB) ([]fault, error) {
	where, args := m.inSchema()
	var engine sql.NullString
	err := db.QueryRowContext(ctx, "SELECT engine FROM information_schema.tables WHERE "+where, args...).Scan(&engine)
	if errors.Is(err, sql.ErrNoRows) {
		return []fault{{"there is no such table", m.schema()}}, nil
	}
	if err != nil {
		return nil, err
	}
	var faults []fault
	if !strings.EqualFold(engine.String, "InnoDB") {
		faults = append(faults, fault{what: fmt.Sprintf("its engine is %q, whose rows don't go with a transaction: InnoDB is needed", engine.String)})
	}
	columns, err := m.columns(ctx, db)
	if err != nil {
		return nil, err
	}
	keys, err := m.keys(ctx, db)
	if err != nil {
		return nil, err
	}
	faults = append(faults, checkColumns(columns, map[string]func(column) (fault, bool){
		"consumer": checkKeyColumn, "message_id": checkKeyColumn, "created_at": checkMySQLTime, "batch": checkMySQLBatch,
	}, map[string]fault{"batch": {fix: []string{"ALTER TABLE " + m.quoted + " ADD COLUMN batch BIGINT NULL"}}})...)
	return append(faults, checkKeys(keys, key{name: "PRIMARY", columns: []string{"consumer", "message_id"}}, "ALTER TABLE "+m.quoted+" ADD KEY consumer_created_at (consumer, created_at)")...), nil
}

func checkMySQLTime(c column) (fault, bool) {
	if c.kind != "datetime(6)" || !strings.Contains(strings.ToLower(c.def.String), "utc_timestamp") {
		return fault{what: fmt.Sprintf("column created_at is %s with the default %q: datetime(6) with the default (UTC_TIMESTAMP(6)) is needed, "+
			"or a mark's age depends on time zones", c.kind, c.def.String)}, false
	}
	return fault{}, true
}

func checkMySQLBatch(c column) (fault, bool) {
	if !strings.HasPrefix(c.kind, "bigint") || strings.Contains(c.kind, "unsigned") || !c.nullable {
		return fault{what: fmt.Sprintf("column batch is %s: bigint NULL is needed", c.kind)}, false
	}
	return fault{}, true
}

func (m mysql) columns(ctx context.Context, db *sql.DB) ([]column, error) {
	where, args := m.inSchema()
	rows, err := db.QueryContext(ctx, "SELECT column_name, column_type, is_nullable, column_default, COALESCE(collation_name, '') "+
		"FROM information_schema.columns WHERE "+where+" ORDER BY ordinal_position", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		var c column
		var nullable string
		if err := rows.Scan(&c.name, &c.kind, &nullable, &c.def, &c.collation); err != nil {
			return nil, err
		}
		c.name, c.kind, c.nullable = strings.ToLower(c.name), strings.ToLower(c.kind), nullable == "YES"
		c.exact = c.collation == "" || strings.HasSuffix(c.collation, "_bin")
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// keys leaves out those on a part of a column.
func (m mysql) keys(ctx context.Context, db *sql.DB) ([]key, error) {
	where, args := m.inSchema()
	rows, err := db.QueryContext(ctx, "SELECT index_name, non_unique, COALESCE(column_name, ''), sub_part "+
		"FROM information_schema.statistics WHERE "+where+" ORDER BY index_name, seq_in_index", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return scanKeys(rows, func() (name string, unique bool, column string, whole bool, err error) {
		var nonUnique int
		var part sql.NullInt64
		err = rows.Scan(&name, &nonUnique, &column, &part)
		return name, nonUnique == 0, strings.ToLower(column), !part.Valid, err
	})
}

// scanKeys collects rows of one column each; one that is not whole spoils its key.
func scanKeys(rows *sql.Rows, scan func() (name string, unique bool, column string, whole bool, err error)) ([]key, error) {
	var keys []key
	last := ""
	for rows.Next() {
		name, unique, column, whole, err := scan()
		if err != nil {
			return nil, err
		}
		if name != last || len(keys) == 0 {
			last = name
			keys = append(keys, key{name: name, unique: unique})
		}
		k := &keys[len(keys)-1]
		if !whole {
			column += "(part)"
		}
		k.columns = append(k.columns, column)
	}
	return keys, rows.Err()
}
