package producer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/binjet/binjet"
)

// maxRemoved is how many rows one DELETE names.
const maxRemoved = 500

// errNotRemoved: a DELETE did not find what its transaction has just inserted.
var errNotRemoved = errors.New("rows that were just inserted could not be deleted again")

// removal is the text of the DELETE of rows by their IDs. It leaves the planner no
// choice but to look each one up: given an IN list on a table that is all but empty,
// both servers read all of it (MySQL also where it is told to force the index), and
// lock, and wait for, the rows of others and the gaps between them.
type removal struct {
	one, head, list, tail string // list is for maxRemoved rows, and holds all shorter ones
}

const (
	firstRemoved = "SELECT CONVERT(? USING ascii) AS i"
	nextRemoved  = " UNION ALL SELECT CONVERT(? USING ascii)"
)

func newRemoval(quotedTable string) *removal {
	return &removal{
		one:  "DELETE FROM " + quotedTable + " WHERE " + binjet.ColumnID + " = ?",
		head: "DELETE o FROM (",
		list: firstRemoved + strings.Repeat(nextRemoved, maxRemoved-1),
		tail: ") AS d STRAIGHT_JOIN " + quotedTable + " AS o FORCE INDEX (PRIMARY) ON o." + binjet.ColumnID + " = d.i",
	}
}

func (r *removal) text(rows int) string {
	if rows == 1 {
		return r.one
	}
	return r.head + r.list[:len(firstRemoved)+(rows-1)*len(nextRemoved)] + r.tail
}

// delete removes the rows whose values are args, of one statement of the insert.
func (p *Producer) delete(ctx context.Context, tx Execer, args []any) error {
	ids := make([]any, 0, len(args)/columns)
	for i := 0; i < len(args); i += columns {
		ids = append(ids, args[i])
	}
	for len(ids) > 0 {
		n := min(len(ids), maxRemoved)
		res, err := execKept(ctx, tx, p.prepared.removal(ctx, tx, n), func() string { return p.remove.text(n) }, ids[:n])
		if err != nil {
			return fmt.Errorf("delete in the same transaction: %w", err)
		}
		if err := allRemoved(res, n); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// allRemoved looks at the count of the DELETE, where the Execer tells it.
func allRemoved(res sql.Result, n int) error {
	if res == nil {
		return nil
	}
	if gone, err := res.RowsAffected(); err == nil && gone != int64(n) {
		return fmt.Errorf("%w: the server deleted %d of %d (a BLACKHOLE table keeps no rows, and wants Config.Retain %q)", errNotRemoved, gone, n, Keep)
	}
	return nil
}
