package binlog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// tableKey is what tells the rows of an outbox table apart.
type tableKey int

const (
	byNothing tableKey = iota
	byID
	// byIDAndTime: rows of one ID differ in created_at, as in a table that is
	// partitioned by it.
	byIDAndTime
)

// keyOf asks which unique index of a table a snapshot can be read by. One of
// columns that may be NULL holds rows that are equal in it.
func (r *Reader) keyOf(s *session, t table) (tableKey, error) {
	rows, err := s.rows(fmt.Sprintf("SELECT GROUP_CONCAT(LOWER(COLUMN_NAME) ORDER BY SEQ_IN_INDEX SEPARATOR '`'), MAX(NULLABLE) FROM information_schema.STATISTICS "+
		"WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s' AND NON_UNIQUE=0 GROUP BY INDEX_NAME", t.schema, t.name))
	if err != nil {
		return byNothing, fmt.Errorf("look for the keys of table %s: %w", t, err)
	}
	key, c := byNothing, r.mapping.Columns
	for _, row := range rows {
		switch columns := strings.Split(row[0], "`"); {
		case slices.Equal(columns, []string{strings.ToLower(c.ID)}):
			return byID, nil
		case row[1] == "" && c.CreatedAt != NoColumn && slices.Equal(columns, []string{strings.ToLower(c.ID), strings.ToLower(c.CreatedAt)}):
			key = byIDAndTime
		}
	}
	return key, nil
}

// keyFinding: a snapshot is read in the order of the key, which must be unique for
// none to be left out.
func (r *Reader) keyFinding(s *session, t table) (Finding, error) {
	key, err := r.keyOf(s, t)
	if err != nil {
		return Finding{}, err
	}
	c := r.mapping.Columns
	f := Finding{Name: fmt.Sprintf("table %s key", t), OK: true}
	switch key {
	case byID:
		f.Detail = c.ID + " is unique"
	case byIDAndTime:
		f.Detail = c.ID + " is unique together with " + c.CreatedAt
	default:
		f.OK = false
		f.Detail = c.ID + " has no unique index of its own, nor one with " + c.CreatedAt + ", so a snapshot can't be read in its order"
		f.Fix = fmt.Sprintf("ALTER TABLE %s ADD UNIQUE (`%s`);", t.quoted(), c.ID)
	}
	return f, nil
}

// rowKey tells a row from the others of its table.
type rowKey struct {
	id string
	at int64 // in microseconds, where the ID alone does not; else 0
}

func keyOfRow(id string, at time.Time, timed bool) rowKey {
	if !timed {
		return rowKey{id: id}
	}
	return rowKey{id, at.UnixMicro()}
}

// place is where a page of a snapshot ends: behind the row of this ID and, where
// that is not unique, of this time; zero behind all rows of the ID.
type place struct {
	id string
	at time.Time
}

// beforeAll stands in for a created_at that is no point in time, such as
// 0000-00-00, which the server sorts before all others.
var beforeAll = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)

func (s *shape) placeTime(text string) time.Time {
	switch at, ok := parseTime(text); {
	case !s.timed:
		return time.Time{}
	case ok:
		return at
	}
	return beforeAll
}

// timeField is created_at as text, in a table where it tells rows apart.
func (s *shape) timeField() string {
	if !s.timed {
		return "NULL"
	}
	return "CAST(`" + s.CreatedAt + "` AS CHAR)"
}

// order is that of the key.
func (s *shape) order() string {
	if !s.timed {
		return "`" + s.ID + "`"
	}
	return "`" + s.ID + "`, `" + s.CreatedAt + "`"
}

// compareTo is a condition on where a row is, > or <= a place, and its arguments.
// It is no comparison of pairs, for which MySQL would read the index from its start.
func (s *shape) compareTo(operator string, p place) (string, []any) {
	if !s.timed || p.at.IsZero() {
		cond, arg := s.compare(operator, p.id)
		return cond, []any{arg}
	}
	beyond, arg := s.compare(operator[:1], p.id)
	same, _ := s.compare("=", p.id)
	return fmt.Sprintf("(%s OR %s AND `%s` %s ?)", beyond, same, s.CreatedAt, operator), []any{arg, arg, p.at.UTC().Format("2006-01-02 15:04:05.000000")}
}
