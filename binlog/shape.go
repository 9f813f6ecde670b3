package binlog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// shape is how one outbox table is read by a SELECT. Its layout is of the same
// mapping as those of the binlog, so that a message does not depend on the way it came.
type shape struct {
	*layout
	fields string // of the SELECT, in the order of the layout
	timed  bool   // the ID is unique only together with created_at
}

// shapeOf asks a session that sees a table for the types of its mapped columns.
func (p *pager) shapeOf(t table) (*shape, error) {
	names, err := p.present(t)
	if err != nil {
		return nil, err
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = "`" + name + "`"
	}
	key, err := p.keyOf(p.session, t)
	if err != nil {
		return nil, err
	}
	s := &shape{fields: strings.Join(quoted, ", "), timed: key == byIDAndTime}
	// An argument makes it a prepared statement, whose types are those of the rows.
	res, err := p.session.Execute(fmt.Sprintf("SELECT %s FROM %s WHERE 0=?", s.fields, t.quoted()), 1)
	if err != nil {
		return nil, cause(p.session.ctx, fmt.Errorf("read the columns of table %s: %w", t, err))
	}
	defer res.Close()
	s.layout = newLayout(&p.mapping, t, names, typesOfFields(res.Fields))
	return s, nil
}

// present are the mapped columns of t, less those that it may lack and does.
func (p *pager) present(t table) (names []string, err error) {
	var has map[string]bool
	for _, u := range p.mapping.uses() {
		if u.optional && has == nil {
			if has, err = p.session.columnsOf(t); err != nil {
				return nil, err
			}
		}
		same := func(name string) bool { return strings.EqualFold(name, u.column) }
		if slices.ContainsFunc(names, same) || u.optional && !has[strings.ToLower(u.column)] {
			continue
		}
		names = append(names, u.column)
	}
	return names, nil
}

// columnsOf are the names of a table's columns in lower case.
func (s *session) columnsOf(t table) (map[string]bool, error) {
	rows, err := s.rows(fmt.Sprintf("SELECT LOWER(COLUMN_NAME) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s'", t.schema, t.name))
	if err != nil {
		return nil, err
	}
	has := make(map[string]bool, len(rows))
	for _, row := range rows {
		has[row[0]] = true
	}
	return has, nil
}

// value is a field of a SELECT in the Go types that the binlog's reader uses, and
// a copy, since the row's buffer is used again.
func value(v mysql.FieldValue) any {
	switch v.Type {
	case mysql.FieldValueTypeUnsigned:
		return v.AsUint64()
	case mysql.FieldValueTypeSigned:
		return v.AsInt64()
	case mysql.FieldValueTypeFloat:
		return v.AsFloat64()
	case mysql.FieldValueTypeString:
		return string(v.AsString())
	}
	return nil
}

func values(row []mysql.FieldValue) []any {
	out := make([]any, len(row))
	for i, v := range row {
		out[i] = value(v)
	}
	return out
}

// binaryID: IDs are bytes, and progress is kept as the text of the UUID.
func (s *shape) binaryID() bool { return s.types[s.id].valueType == typeUUID }

// compare is a condition on the ID, and its argument: id is the text that progress
// is kept in. Bytes go as hexadecimal digits, since an argument is text of utf8mb4.
func (s *shape) compare(operator, id string) (string, any) {
	if !s.binaryID() {
		return fmt.Sprintf("`%s` %s ?", s.ID, operator), id
	}
	return fmt.Sprintf("`%s` %s UNHEX(?)", s.ID, operator), fmt.Sprintf("%x", UUIDBytes(id, s.swapped))
}

// resumes reports whether a table can be read on behind an ID.
func (s *shape) resumes(after string) error {
	if after == "" || !s.binaryID() || UUIDBytes(after, s.swapped) != nil {
		return nil
	}
	return halt(nil, "Give it back the type that it had, or "+startAnew, "a snapshot of table %s was cut behind ID %q, and column %s is BINARY(16) now", s.table, after, s.ID)
}

// progressOf is the text of an ID as a SELECT brings it.
func (s *shape) progressOf(raw string) string {
	if !s.binaryID() {
		return raw
	}
	return UUIDText([]byte(raw), s.swapped)
}
