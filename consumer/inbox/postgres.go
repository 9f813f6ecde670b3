package inbox

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"
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

// ofConsumer is "consumer = …" in a form that the index on (consumer, created_at)
// does not serve, so that a mark is always looked up by its primary key, which
// begins with the message ID. While the table is new the planner believes that a
// consumer has hardly a mark and that either index will do; a driver that prepares
// statements keeps such a plan until the table is analysed, and each look at a mark
// then reads all of the consumer's.
const ofConsumer = "consumer || '' = $1"

func (p postgres) present() string {
	return "SELECT 1 FROM " + p.quoted + " WHERE message_id = $2 AND " + ofConsumer
}

// lookUp is a column of the mark of each of n IDs, which begin at the given
// argument; NULL for one that is not there. The LIMIT keeps the planner from making
// a join of it, for which it might read the table.
func (p postgres) lookUp(column string, first, n int) string {
	var ids strings.Builder
	for i := range n {
		if i > 0 {
			ids.WriteString(", ")
		}
		ids.WriteString("(CAST(" + p.place(first+i) + " AS text))")
	}
	return "SELECT (SELECT t." + column + " FROM " + p.quoted + " AS t WHERE t.message_id = m.id AND t." + ofConsumer + " LIMIT 1) AS found" +
		" FROM (VALUES " + ids.String() + ") AS m(id)"
}

func (p postgres) presentMany(consumer string, ids []string) (query string, args []any) {
	return "SELECT COUNT(found) FROM (" + p.lookUp("message_id", 2, len(ids)) + ") AS marks", arguments(consumer, ids)
}

// remove goes by the place of each row. One that was changed meanwhile has another
// place, and stays.
func (p postgres) remove(consumer, before string, ids []string) (query string, args []any) {
	query = "DELETE FROM " + p.quoted + " WHERE ctid = ANY (ARRAY(" + p.lookUp("ctid", 3, len(ids)) + ")) AND " + ofConsumer +
		" AND created_at < CAST(CAST($2 AS text) AS timestamptz)"
	args = []any{consumer, before}
	for _, id := range ids {
		args = append(args, id)
	}
	return query, args
}
