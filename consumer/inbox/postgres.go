package inbox

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
)

//go:embed schema/postgresql.sql
var postgresSchema string

// postgres is PostgreSQL.
type postgres struct{ tableName }

func (p postgres) schema() []string { return p.fill(postgresSchema, `"`+p.indexName()+`"`) }

// claim may not fail on a mark that is there: that would abort the transaction,
// and nothing could be asked any more. It names the key, so that a table without
// one is an error and not an inbox that lets everything through.
func (p postgres) claim() string {
	return "INSERT INTO " + p.quoted + " (consumer, message_id) VALUES ($1, $2) ON CONFLICT (consumer, message_id) DO NOTHING"
}

func (p postgres) claimMany(ctx context.Context, tx *sql.Tx, consumer string, ids []string) ([]string, error) {
	return p.claimReturning(ctx, tx, consumer, ids)
}

func (p postgres) prune() pruning {
	return pruning{
		cutoff: "SELECT CAST(clock_timestamp() - CAST($1 AS bigint) * interval '1 microsecond' AS text)",
		begin:  "-infinity",
		time:   func(place string) string { return fmt.Sprintf("CAST(CAST(%s AS text) AS timestamptz)", place) },
		text:   "CAST(created_at AS text)",
		tx:     &sql.TxOptions{Isolation: sql.LevelReadCommitted},
	}
}

func (p postgres) remove(consumer, before string, ids []string) (query string, args []any) {
	return p.removeWhere(consumer, before, ids, "CAST(CAST($2 AS text) AS timestamptz)")
}
