package binlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/binjet/binjet"
)

// table is an outbox table.
type table struct{ schema, name string }

func (t table) String() string { return t.schema + "." + t.name }

// quoted is t as it may stand in a statement.
func (t table) quoted() string { return "`" + t.schema + "`.`" + t.name + "`" }

// tableSet is the outbox tables, by schema and name as the server stores them.
type tableSet struct {
	list []table
	by   map[string]map[string]bool
	// ignoreUpdates: an UPDATE of one of them is passed over, [IgnoreUpdates].
	ignoreUpdates bool
}

// parseTables reads Config.Tables and reports every fault at once.
func parseTables(database string, names []string) (tableSet, error) {
	s := tableSet{by: make(map[string]map[string]bool)}
	var faults []error
	if len(names) == 0 {
		faults = append(faults, errors.New("list Tables is empty: name at least one outbox table"))
	}
	for _, full := range names {
		if _, err := binjet.QuoteTable(full); err != nil {
			faults = append(faults, err)
			continue
		}
		schema, name, qualified := strings.Cut(full, ".")
		if !qualified {
			schema, name = database, full
		}
		switch {
		case schema == "":
			faults = append(faults, fmt.Errorf("table %q: no schema, and Database is empty: write schema.%s or set Database", full, full))
		case s.has([]byte(schema), []byte(name)):
			faults = append(faults, fmt.Errorf("table %s.%s stands twice in Tables", schema, name))
		default:
			s.add(table{schema, name})
		}
	}
	return s, errors.Join(faults...)
}

func (s *tableSet) add(t table) {
	s.list = append(s.list, t)
	if s.by[t.schema] == nil {
		s.by[t.schema] = make(map[string]bool)
	}
	s.by[t.schema][t.name] = true
}

func (s *tableSet) has(schema, name []byte) bool { return s.by[string(schema)][string(name)] }

// concerned reports whether a statement that removes rows, and ran with schema as
// its default database, names the table, or its whole schema.
func (t table) concerned(what, schema string, names []tableName) bool {
	if what == "DROP DATABASE" || what == "DROP SCHEMA" {
		return slices.ContainsFunc(names, func(n tableName) bool { return strings.EqualFold(t.schema, n.name) })
	}
	for _, n := range names {
		in := n.schema
		if in == "" {
			in = schema
		}
		if strings.EqualFold(t.name, n.name) && strings.EqualFold(t.schema, in) {
			return true
		}
	}
	return false
}

// named reports whether a statement that ran with schema as its default database
// holds the name of an outbox table. It compares without case, since the server
// may, and so errs on the safe side.
func (s *tableSet) named(schema string, names []tableName) (table, bool) {
	for _, n := range names {
		for _, t := range s.list {
			in := n.schema
			if in == "" {
				in = schema
			}
			if strings.EqualFold(t.name, n.name) && strings.EqualFold(t.schema, in) {
				return t, true
			}
		}
	}
	return table{}, false
}
