package prune

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/outboxtable"
)

// session is the connection of one round. It is never replaced by another: what
// it saw holds for this server, as it ran then.
type session struct {
	*Pruner
	conn   *sql.Conn
	flavor checkpoint.Flavor
}

// timeForm is how times are given to the server, in a session of UTC.
const timeForm = "2006-01-02 15:04:05.000000"

// connect opens the session and sets it up.
func (p *Pruner) connect(ctx context.Context) (*session, error) {
	conn, err := p.cfg.DB.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := &session{Pruner: p, conn: conn}
	if err := s.setUp(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) setUp(ctx context.Context) error {
	for _, q := range []string{"SET SESSION time_zone='+00:00'", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION autocommit=1",
		"SET SESSION innodb_lock_wait_timeout=1", "SET SESSION lock_wait_timeout=1"} {
		if _, err := s.conn.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	// The binlog then holds the keys of deleted rows and not their payloads. Most
	// accounts may not set it, and it is only a saving.
	if _, err := s.conn.ExecContext(ctx, "SET SESSION binlog_row_image=MINIMAL"); err != nil {
		s.log.Debug("deleted rows are logged whole", slog.Any("error", err))
	}
	version, err := s.one(ctx, "SELECT VERSION()")
	if err != nil {
		return err
	}
	s.flavor = checkpoint.MySQL
	if strings.Contains(strings.ToLower(version), "mariadb") {
		s.flavor = checkpoint.MariaDB
	}
	return nil
}

// close ends the connection, so that the pool does not get it with our settings.
func (s *session) close() {
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}

// one is the value of a query for one; NULL is "".
func (s *session) one(ctx context.Context, query string, args ...any) (string, error) {
	var v sql.NullString
	if err := s.conn.QueryRowContext(ctx, query, args...).Scan(&v); err != nil {
		return "", fmt.Errorf("%s: %w", query, err)
	}
	return v.String, nil
}

func (s *session) cutoff(ctx context.Context, keep time.Duration) (time.Time, error) {
	v, err := s.one(ctx, "SELECT CAST(NOW(6) - INTERVAL "+strconv.FormatInt(keep.Microseconds(), 10)+" MICROSECOND AS CHAR)")
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(v)
}

func parseTime(v string) (time.Time, error) { return time.Parse("2006-01-02 15:04:05.999999", v) }

func (s *session) page(ctx context.Context, t table, after any, limit int, cutoff time.Time) ([]row, error) {
	id, created := quote(s.cfg.ID), quote(s.cfg.CreatedAt)
	query := "SELECT " + id + ", CAST(" + created + " AS CHAR), COALESCE(" + created + " < ?, 0) FROM " + t.quoted + " FORCE INDEX (" + quote(t.index) + ")"
	args := []any{cutoff.Format(timeForm)}
	if after != nil {
		query += " WHERE " + id + " > ?"
		args = append(args, after)
	}
	rows, err := s.conn.QueryContext(ctx, query+" ORDER BY "+id+" LIMIT "+strconv.Itoa(limit), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make([]row, 0, limit)
	for rows.Next() {
		var key []byte
		var at sql.NullString
		var r row
		if err := rows.Scan(&key, &at, &r.old); err != nil {
			return nil, err
		}
		if r.id = any(key); !t.binary {
			r.id = string(key)
		}
		if at.Valid {
			if r.created, err = parseTime(at.String); err != nil {
				return nil, fmt.Errorf("column %s of row %q: %w", s.cfg.CreatedAt, key, err)
			}
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

func (s *session) remove(ctx context.Context, t table, ids []any, cutoff time.Time) (int64, error) {
	value := "CONVERT(? USING ascii)"
	if t.binary {
		value = "?"
	}
	query := "DELETE o FROM (SELECT " + value + " AS i" + strings.Repeat(" UNION ALL SELECT "+value, len(ids)-1) + ") AS d STRAIGHT_JOIN " +
		t.quoted + " AS o FORCE INDEX (" + quote(t.index) + ") ON o." + quote(s.cfg.ID) + " = d.i WHERE o." + quote(s.cfg.CreatedAt) + " < ?"
	args := make([]any, 0, len(ids)+1)
	res, err := s.conn.ExecContext(ctx, query, append(append(args, ids...), cutoff.Format(timeForm))...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// inspect looks at a table, and says why where there is nothing to prune.
func (s *session) inspect(ctx context.Context, name string) (t table, err error) {
	t.name = name
	if t.quoted, err = binjet.QuoteTable(name); err != nil {
		return t, err
	}
	schema, base, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, base = "", name
	}
	var engine, created string
	err = s.conn.QueryRowContext(ctx, "SELECT COALESCE(ENGINE,''), COALESCE(CREATE_OPTIONS,'') FROM information_schema.TABLES WHERE TABLE_SCHEMA=COALESCE(NULLIF(?,''),DATABASE()) AND TABLE_NAME=?",
		schema, base).Scan(&engine, &created)
	if err != nil {
		return t, fmt.Errorf("look at the table (GRANT SELECT, DELETE on it to the account): %w", err)
	}
	if strings.EqualFold(engine, "BLACKHOLE") {
		t.skip = "a BLACKHOLE table keeps no rows"
		return t, nil
	}
	if strings.Contains(strings.ToLower(created), "partitioned") {
		t.partitions, err = outboxtable.Load(ctx, s.conn, schema, base)
		return t, err
	}
	err = s.conn.QueryRowContext(ctx, "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=COALESCE(NULLIF(?,''),DATABASE()) AND TABLE_NAME=? "+
		"AND NON_UNIQUE=0 GROUP BY INDEX_NAME HAVING COUNT(*)=1 AND MAX(LOWER(COLUMN_NAME))=? ORDER BY INDEX_NAME='PRIMARY' DESC LIMIT 1",
		schema, base, strings.ToLower(s.cfg.ID)).Scan(&t.index)
	if err != nil {
		return t, fmt.Errorf("%s has no unique index of its own, by which rows are found and deleted: %w", s.cfg.ID, err)
	}
	kind, err := s.one(ctx, "SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=COALESCE(NULLIF(?,''),DATABASE()) AND TABLE_NAME=? AND LOWER(COLUMN_NAME)=?",
		schema, base, strings.ToLower(s.cfg.ID))
	t.binary = strings.Contains(strings.ToLower(kind), "binary") || strings.Contains(strings.ToLower(kind), "blob")
	return t, err
}

func quote(name string) string { return "`" + name + "`" }
