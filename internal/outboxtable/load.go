package outboxtable

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Querier is a *sql.DB, *sql.Conn or *sql.Tx.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Load returns the partitions of a table in the order of their bounds; none for a
// table that has no partitions, or that the account may not see. schema "" is the
// connection's database. A table that is partitioned otherwise is an error: what it
// holds in which partition is not known here.
func Load(ctx context.Context, db Querier, schema, name string) (list []Partition, err error) {
	rows, err := db.QueryContext(ctx, "SELECT PARTITION_NAME, PARTITION_METHOD, COALESCE(PARTITION_EXPRESSION,''), COALESCE(PARTITION_DESCRIPTION,''), "+
		"COALESCE(SUBPARTITION_METHOD,'') FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA=COALESCE(NULLIF(?,''),DATABASE()) AND TABLE_NAME=? "+
		"AND PARTITION_NAME IS NOT NULL ORDER BY PARTITION_ORDINAL_POSITION", schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the partitions of table %s: %w", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var partition, method, expression, description, sub string
		if err := rows.Scan(&partition, &method, &expression, &description, &sub); err != nil {
			return nil, fmt.Errorf("read the partitions of table %s: %w", name, err)
		}
		if method != "RANGE" || sub != "" || !byDay(expression) {
			return nil, fmt.Errorf("table %s is partitioned by %s (%s) and not by the day of created_at, "+
				"RANGE (FLOOR(UNIX_TIMESTAMP(…))): leave its partitions to whoever made them", name, method, expression)
		}
		p, err := Parse(partition, description)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		list = append(list, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the partitions of table %s: %w", name, err)
	}
	return list, nil
}

// byDay: the server words the expression in its own way, in quotes and case. A
// TIMESTAMP without fraction, and MariaDB, need no FLOOR.
func byDay(expression string) bool {
	s := strings.ToUpper(strings.ReplaceAll(expression, " ", ""))
	return strings.HasPrefix(strings.TrimPrefix(s, "FLOOR("), "UNIX_TIMESTAMP(")
}
