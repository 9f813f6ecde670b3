package inbox

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

//go:embed schema/mysql.sql
var mysqlSchema string

// mysql is MySQL and MariaDB.
type mysql struct{ tableName }

func (m mysql) schema() []string { return m.fill(mysqlSchema, "") }

// claim is a plain INSERT: IGNORE would hide other faults, and the count of
// affected rows of ON DUPLICATE KEY UPDATE depends on a flag of the connection.
func (m mysql) claim() string {
	return "INSERT INTO " + m.quoted + " (consumer, message_id) VALUES (?, ?)"
}

// share makes a read lock what it finds. Such a read sees what is committed now,
// whatever the isolation level: not an old snapshot (REPEATABLE READ), nothing
// uncommitted (READ UNCOMMITTED). This spelling is the one both flavours have.
const share = " LOCK IN SHARE MODE"

func (m mysql) present() string { return m.tableName.present() + share }

// presentMany counts by a column that the key does not have: of one that has all
// that is asked for, the server would rather read the whole where that is small.
func (m mysql) presentMany(consumer string, ids []string) (query string, args []any) {
	return "SELECT COUNT(t.created_at + INTERVAL 0 SECOND) FROM " + m.byKeys(len(ids)) + share, pairs(consumer, ids)
}

// byKeys is the table and a condition that names n keys in full, with the primary
// key forced, so that there is no other plan than to look up these rows. With
// "consumer = ? AND message_id IN (…)" MariaDB 10.11 reads, and locks, all rows of
// the consumer where they are few.
func (m mysql) byKeys(n int) string {
	return m.quoted + " AS t FORCE INDEX (PRIMARY) WHERE ((t.consumer = ? AND t.message_id = ?)" +
		strings.Repeat(" OR (t.consumer = ? AND t.message_id = ?)", n-1) + ")"
}

func pairs(consumer string, ids []string) []any {
	args := make([]any, 0, 2*len(ids))
	for _, id := range ids {
		args = append(args, consumer, id)
	}
	return args
}

// claimMany inserts with IGNORE, whose count of affected rows no flag of the
// connection changes. Where all are new, that is all. Else every mark is there
// now, the transaction's own among them: they are told by the column batch, a
// random number. IGNORE would also pass over a row for another reason: then it
// is missing, and that is an error. Reading only what exists takes no lock on the
// gaps between rows, which would make batches wait for each other.
func (m mysql) claimMany(ctx context.Context, tx *sql.Tx, consumer string, ids []string) ([]string, error) {
	batch := rand.Int64()
	args := make([]any, 0, 3*len(ids))
	for _, id := range ids {
		args = append(args, consumer, id, batch)
	}
	query, args := m.spell("INSERT IGNORE INTO "+m.quoted+" (consumer, message_id, batch) VALUES (?, ?, ?)"+
		strings.Repeat(", (?, ?, ?)", len(ids)-1), args...)
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	inserted, err := result.RowsAffected()
	if err != nil {
		return nil, err
	}
	if inserted == int64(len(ids)) {
		return ids, nil
	}
	return m.own(ctx, tx, consumer, ids, batch)
}

// own returns those of the marks that were inserted under this number.
func (m mysql) own(ctx context.Context, tx *sql.Tx, consumer string, ids []string, batch int64) ([]string, error) {
	query, args := m.spell("SELECT t.message_id, COALESCE(t.batch = ?, 0) FROM "+m.byKeys(len(ids))+share,
		append([]any{batch}, pairs(consumer, ids)...)...)
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var own []string
	there := 0
	for rows.Next() {
		var id string
		var mine bool
		if err := rows.Scan(&id, &mine); err != nil {
			return nil, err
		}
		if there++; mine {
			own = append(own, id)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if there != len(ids) {
		return nil, fmt.Errorf("%d marks were neither inserted into %s nor are there: does the table have a foreign key, "+
			"a partition or a trigger? see SQL.Validate", len(ids)-there, m.quoted)
	}
	return own, nil
}

// spell writes the arguments into the statement when all of them are made of
// characters that mean themselves in a string under every sql_mode, as consumer
// names and UUIDs are. go-sql-driver prepares a statement that has arguments,
// which costs a round trip more than what it is prepared for.
func (m mysql) spell(query string, args ...any) (string, []any) {
	parts := strings.Split(query, "?")
	if len(parts) != len(args)+1 {
		return query, args
	}
	var b strings.Builder
	for i, part := range parts {
		b.WriteString(part)
		if i == len(args) {
			break
		}
		switch arg := args[i].(type) {
		case string:
			if strings.IndexFunc(arg, special) >= 0 {
				return query, args
			}
			b.WriteString("'" + arg + "'")
		case int64:
			b.WriteString(strconv.FormatInt(arg, 10))
		default:
			return query, args
		}
	}
	return b.String(), nil
}

func special(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/+=@#", r))
}

func (m mysql) prune() pruning {
	return pruning{
		cutoff: "SELECT CAST(UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND AS CHAR)",
		begin:  "1000-01-01 00:00:00",
		time:   func(place string) string { return "CAST(" + place + " AS DATETIME(6))" },
		text:   "CAST(created_at AS CHAR)",
		// At any higher level a key that is gone already locks the gap where it was.
		tx: &sql.TxOptions{Isolation: sql.LevelReadCommitted},
	}
}

func (m mysql) remove(consumer, before string, ids []string) (query string, args []any) {
	return "DELETE t FROM " + m.byKeys(len(ids)) + " AND t.created_at < CAST(? AS DATETIME(6))", append(pairs(consumer, ids), before)
}
