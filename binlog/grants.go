package binlog

import (
	"fmt"
	"strings"

	"github.com/binjet/binjet/checkpoint"
)

// grants are the privileges of an account, as SHOW GRANTS lists them.
type grants []grant

type grant struct {
	privileges []string // upper case
	schema     string   // a pattern; "*" is all
	table      string   // "*" is all
}

// grants asks for the privileges of the session, those of its roles included.
func (s *session) grants(srv *Server) (grants, string, error) {
	row, err := s.row("SELECT CURRENT_USER(), COALESCE(CURRENT_ROLE(), 'NONE')")
	if err != nil {
		return nil, "", err
	}
	user, host, _ := strings.Cut(row[0], "@")
	account := "'" + user + "'@'" + host + "'"
	query := "SHOW GRANTS"
	if srv.Flavor == checkpoint.MySQL && row[1] != "NONE" {
		query += " FOR CURRENT_USER() USING " + row[1]
	}
	rows, err := s.rows(query)
	if err != nil {
		return nil, account, err
	}
	var list grants
	for _, r := range rows {
		if g, ok := parseGrant(r[0]); ok {
			list = append(list, g)
		}
	}
	return list, account, nil
}

// parseGrant reads GRANT a, b (col), c ON schema.table TO account. What grants a
// role, or on a routine, is not of interest.
func parseGrant(line string) (grant, bool) {
	rest, ok := strings.CutPrefix(line, "GRANT ")
	if !ok {
		return grant{}, false
	}
	privileges, rest, ok := strings.Cut(rest, " ON ")
	object, _, ok2 := strings.Cut(rest, " TO ")
	schema, name, ok3 := strings.Cut(strings.TrimPrefix(object, "TABLE "), ".")
	if !ok || !ok2 || !ok3 {
		return grant{}, false
	}
	g := grant{schema: unquote(schema), table: unquote(name)}
	depth, from := 0, 0
	for i, c := range privileges + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			p, _, _ := strings.Cut(privileges[from:i], "(") // SELECT (a, b)
			g.privileges = append(g.privileges, strings.ToUpper(strings.TrimSpace(p)))
			from = i + 1
		}
	}
	return g, true
}

func unquote(s string) string { return strings.Trim(s, "`'\"") }

// has reports whether a privilege is held on t; the zero table asks for *.*.
func (list grants) has(privilege string, t table) bool {
	for _, g := range list {
		if !g.covers(t) {
			continue
		}
		for _, p := range g.privileges {
			if p == privilege || p == "ALL PRIVILEGES" || p == "ALL" || p == "REPLICATION REPLICA" && privilege == "REPLICATION SLAVE" {
				return true
			}
		}
	}
	return false
}

// finding says whether a privilege is held on t, by the object that a GRANT names.
func (list grants) finding(privilege string, on table, object, account string) Finding {
	f := Finding{Name: "grant " + privilege, OK: list.has(privilege, on), Detail: account + " has it"}
	if on.name != "" {
		f.Name += " on " + on.String()
	}
	if !f.OK {
		f.Detail, f.Fix = account+" does not have it", fmt.Sprintf("GRANT %s ON %s TO %s;", privilege, object, account)
	}
	return f
}

func (g grant) covers(t table) bool {
	if g.schema == "*" {
		return true
	}
	return t.name != "" && like(g.schema, t.schema) && (g.table == "*" || g.table == t.name)
}

// like matches SQL's pattern of a schema: % and _, unless behind a backslash.
func like(pattern, s string) bool {
	for pattern != "" {
		c, literal := pattern[0], false
		if c == '\\' && len(pattern) > 1 {
			c, literal, pattern = pattern[1], true, pattern[1:]
		}
		pattern = pattern[1:]
		if c == '%' && !literal {
			for i := 0; i <= len(s); i++ {
				if like(pattern, s[i:]) {
					return true
				}
			}
			return false
		}
		if s == "" || c != s[0] && (c != '_' || literal) {
			return false
		}
		s = s[1:]
	}
	return s == ""
}
