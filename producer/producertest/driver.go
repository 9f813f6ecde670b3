package producertest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/binjet/binjet"
)

// insertInto and insertColumns are around the table in what a Producer inserts by.
const (
	insertInto    = "INSERT INTO "
	insertColumns = " (" + binjet.ColumnID + ", " + binjet.ColumnTopic + ", " + binjet.ColumnKey + ", " +
		binjet.ColumnHeaders + ", " + binjet.ColumnPayload + ") VALUES "
	columns = 5
)

type connector struct{ s *store }

func (c connector) Connect(context.Context) (driver.Conn, error) { return &conn{s: c.s}, nil }
func (c connector) Driver() driver.Driver                        { return drv{} }

type drv struct{}

func (drv) Open(string) (driver.Conn, error) { return nil, errors.New("producertest: use NewDB") }

// conn is one connection, with the rows of its transaction.
type conn struct {
	s     *store
	inTx  bool
	own   []row
	saves []savepoint
}

type savepoint struct {
	name string
	rows int
}

func (c *conn) Close() error                              { return nil }
func (c *conn) ResetSession(context.Context) error        { c.end(); return nil }
func (c *conn) Prepare(query string) (driver.Stmt, error) { return stmt{c, query}, c.s.fails(query) }
func (c *conn) Begin() (driver.Tx, error)                 { return c.BeginTx(context.Background(), driver.TxOptions{}) }

func (c *conn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	if err := c.s.fails("BEGIN"); err != nil {
		return nil, err
	}
	c.inTx = true
	return c, nil
}

func (c *conn) Commit() error {
	defer c.end()
	if err := c.s.fails("COMMIT"); err != nil {
		return err
	}
	return c.s.commit(c.own)
}

func (c *conn) Rollback() error {
	defer c.end()
	return c.s.fails("ROLLBACK")
}

func (c *conn) end() { c.inTx, c.own, c.saves = false, nil, nil }

func (c *conn) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if table, is := outboxOf(query); is {
		return c.insert(query, table, args)
	}
	if removesOwn(query) { // what is deleted in its own transaction is published all the same
		return driver.RowsAffected(len(args)), c.s.fails(query)
	}
	if done, err := c.control(query); done {
		return driver.RowsAffected(0), err
	}
	if err := c.s.fails(query); err != nil {
		return nil, err
	}
	c.s.note(Statement{query, values(args)})
	return result{}, nil
}

// outboxOf returns the quoted table that a Producer's statement inserts into.
func outboxOf(query string) (string, bool) {
	rest, is := strings.CutPrefix(query, insertInto)
	if !is {
		return "", false
	}
	table, _, is := strings.Cut(rest, insertColumns)
	return table, is
}

// removesOwn: the statement is the DELETE of a Producer that keeps no rows.
func removesOwn(query string) bool {
	table, byID := strings.CutSuffix(query, " WHERE "+binjet.ColumnID+" = ?")
	return byID && strings.HasPrefix(table, "DELETE FROM `") ||
		strings.HasPrefix(query, "DELETE o FROM (SELECT CONVERT(? USING ascii) AS i") && strings.HasSuffix(query, "` AS o FORCE INDEX (PRIMARY) ON o."+binjet.ColumnID+" = d.i")
}

func (c *conn) insert(query, table string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.s.fails(query); err != nil {
		return nil, err
	}
	if len(args) == 0 || len(args)%columns != 0 || strings.Count(query, "?") != len(args) {
		return nil, errors.New("producertest: the values are in the statement's text, where they are not looked for; bun puts them there: give Insert its *sql.Tx (tx.Tx)")
	}
	rows := make([]row, 0, len(args)/columns)
	for ; len(args) > 0; args = args[columns:] {
		r, err := newRow(table, args[:columns])
		if err != nil {
			return nil, err
		}
		same := func(other row) bool { return other.table == table && other.id == r.id }
		if slices.ContainsFunc(rows, same) || slices.ContainsFunc(c.own, same) {
			return nil, fmt.Errorf("%w: %q in %s", errDuplicate, r.id, table)
		}
		rows = append(rows, r)
	}
	if err := c.s.free(rows); err != nil {
		return nil, err
	}
	if !c.inTx {
		return driver.RowsAffected(len(rows)), c.s.commit(rows)
	}
	c.own = append(c.own, rows...)
	return driver.RowsAffected(len(rows)), nil
}

func newRow(table string, args []driver.NamedValue) (row, error) {
	var text [3]string
	for i := range text {
		switch v := args[i].Value.(type) {
		case string:
			text[i] = v
		case []byte:
			text[i] = string(v)
		}
	}
	headers, _ := args[3].Value.([]byte)
	payload, _ := args[4].Value.([]byte)
	r := row{table, text[0], text[1], text[2], slices.Clone(headers), slices.Clone(payload), time.Now().UTC().Truncate(time.Microsecond)}
	_, err := message(r.id, r.topic, r.key, r.headers, r.payload)
	return r, err
}

// control does what transactions are controlled by in statements' text.
func (c *conn) control(query string) (done bool, err error) {
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(query), ";"))
	if len(words) == 0 {
		return false, nil
	}
	last := words[len(words)-1]
	for i, w := range words {
		words[i] = strings.ToUpper(w)
	}
	switch text := strings.Join(words, " "); {
	case text == "BEGIN" || text == "START TRANSACTION":
		_, err = c.BeginTx(context.Background(), driver.TxOptions{})
	case text == "COMMIT":
		err = c.Commit()
	case text == "ROLLBACK":
		err = c.Rollback()
	case words[0] == "SAVEPOINT" && len(words) == 2:
		if err = c.s.fails(query); err == nil {
			c.saves = append(c.saves, savepoint{last, len(c.own)})
		}
	case words[0] == "ROLLBACK" && words[1] == "TO", words[0] == "RELEASE":
		if err = c.s.fails(query); err == nil {
			err = c.back(last, words[0] == "ROLLBACK")
		}
	default:
		return false, nil
	}
	return true, err
}

// back goes back to a savepoint, or gives it up.
func (c *conn) back(name string, undo bool) error {
	for i := len(c.saves) - 1; i >= 0; i-- {
		if !strings.EqualFold(c.saves[i].name, name) {
			continue
		}
		if undo {
			c.own, c.saves = c.own[:c.saves[i].rows], c.saves[:i+1]
		} else {
			c.saves = c.saves[:i]
		}
		return nil
	}
	return fmt.Errorf("producertest: SAVEPOINT %s does not exist", name)
}

func (c *conn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if err := c.s.fails(query); err != nil {
		return nil, err
	}
	rest, is := strings.CutPrefix(query, selectRows)
	if !is {
		return nil, fmt.Errorf("producertest: no database is here to answer %q: use a real one, or put what is queried behind an interface", query)
	}
	table, _, _ := strings.Cut(rest, " ")
	return &answer{c.s.visible(table, c.own)}, nil
}

// answer yields rows. It has no WHERE: who asks looks at them again.
type answer struct{ rows []row }

func (*answer) Columns() []string {
	return []string{"id", "topic", "message_key", "headers", "payload"}
}
func (*answer) Close() error { return nil }

func (a *answer) Next(to []driver.Value) error {
	if len(a.rows) == 0 {
		return io.EOF
	}
	r := a.rows[0]
	a.rows = a.rows[1:]
	to[0], to[1], to[2], to[3], to[4] = r.id, r.topic, r.key, r.headers, r.payload
	return nil
}

type stmt struct {
	c     *conn
	query string
}

func (stmt) Close() error  { return nil }
func (stmt) NumInput() int { return -1 }

func (s stmt) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }
func (s stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, driver.ErrSkip }

func (s stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.c.ExecContext(ctx, s.query, args)
}

func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.QueryContext(ctx, s.query, args)
}

// result is that of a statement that is only noted.
type result struct{}

func (result) LastInsertId() (int64, error) { return 1, nil }
func (result) RowsAffected() (int64, error) { return 1, nil }

func values(args []driver.NamedValue) []any {
	v := make([]any, len(args))
	for i, a := range args {
		v[i] = a.Value
	}
	return v
}
