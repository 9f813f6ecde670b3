package inbox

import (
	"context"
	"database/sql"
	_ "embed"
)

//go:embed schema/sqlite.sql
var sqliteSchema string

// sqlite is SQLite.
type sqlite struct{ tableName }

// schema: an index's name has the schema, and the table that it is on has none.
func (s sqlite) schema() []string {
	index := `"` + s.indexName() + `"`
	if s.qualifier != "" {
		index = `"` + s.qualifier + `".` + index
	}
	return s.fill(sqliteSchema, index)
}

func (s sqlite) claim() string {
	return "INSERT INTO " + s.quoted + " (consumer, message_id) VALUES (?1, ?2) ON CONFLICT (consumer, message_id) DO NOTHING"
}

func (s sqlite) claimMany(ctx context.Context, tx *sql.Tx, consumer string, ids []string) ([]string, error) {
	return s.claimReturning(ctx, tx, consumer, ids)
}

func (s sqlite) prune() pruning {
	return pruning{
		cutoff: "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now', printf('-%.6f seconds', ?1 / 1000000.0))",
		begin:  "",
		time:   func(place string) string { return place },
		text:   "created_at",
	}
}

func (s sqlite) presentMany(consumer string, ids []string) (query string, args []any) {
	return "SELECT COUNT(*) FROM " + s.quoted + " WHERE consumer = ?1 AND message_id IN (" + s.places(2, len(ids)) + ")", arguments(consumer, ids)
}

func (s sqlite) remove(consumer, before string, ids []string) (query string, args []any) {
	query = "DELETE FROM " + s.quoted + " WHERE consumer = ?1 AND created_at < ?2 AND message_id IN (" + s.places(3, len(ids)) + ")"
	args = []any{consumer, before}
	for _, id := range ids {
		args = append(args, id)
	}
	return query, args
}
