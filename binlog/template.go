package binlog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/binjet/binjet"
)

// template is text with columns of a row in it: "${aggregatetype}.${type}".
type template struct {
	text  string // as it was written
	parts []part
}

// part is literal text, or a column when its name is set.
type part struct{ literal, column string }

// CheckTopicTemplate reports why s can't be a [Route.Topic]: it is malformed, or
// what it makes could not be a topic whatever its columns hold.
func CheckTopicTemplate(s string) error {
	t, err := parseTemplate(s)
	if err != nil {
		return err
	}
	if err := binjet.CheckTopic(t.example()); err != nil {
		return fmt.Errorf("template %q makes no topic: with x for each column, %w", s, err)
	}
	return nil
}

// CheckKeyTemplate reports why s can't be a [Route.Key].
func CheckKeyTemplate(s string) error {
	t, err := parseTemplate(s)
	if err != nil {
		return err
	}
	if len(t.columns()) == 0 {
		return fmt.Errorf("template %q names no column: all messages would have one key", s)
	}
	m := binjet.Message{ID: "x", Topic: "x", Key: t.example()}
	if err := m.CheckRow(); err != nil {
		return fmt.Errorf("template %q makes no key: with x for each column, %w", s, err)
	}
	return nil
}

var errNoTemplate = errors.New("template is empty")

// parseTemplate reads text with ${column} in it. $$ is a dollar sign; any other
// one is an error, so that a forgotten brace does not become text.
func parseTemplate(s string) (*template, error) {
	if s == "" {
		return nil, errNoTemplate
	}
	t := &template{text: s}
	var literal strings.Builder
	for rest := s; rest != ""; {
		before, after, found := strings.Cut(rest, "$")
		literal.WriteString(before)
		switch {
		case !found:
			rest = ""
		case strings.HasPrefix(after, "$"):
			literal.WriteByte('$')
			rest = after[1:]
		case strings.HasPrefix(after, "{"):
			name, behind, closed := strings.Cut(after[1:], "}")
			if !closed {
				return nil, fmt.Errorf("template %q has a ${ without its }", s)
			}
			if err := checkColumn(name); err != nil {
				return nil, fmt.Errorf("template %q: %w", s, err)
			}
			t.add(literal.String(), name)
			literal.Reset()
			rest = behind
		default:
			return nil, fmt.Errorf("template %q has a $ that begins no ${column}: write $$ for a dollar sign", s)
		}
	}
	t.add(literal.String(), "")
	return t, nil
}

func (t *template) add(literal, column string) {
	if literal != "" {
		t.parts = append(t.parts, part{literal: literal})
	}
	if column != "" {
		t.parts = append(t.parts, part{column: column})
	}
}

// columns are the names that stand in t.
func (t *template) columns() (names []string) {
	if t == nil {
		return nil
	}
	for _, p := range t.parts {
		if p.column != "" {
			names = append(names, p.column)
		}
	}
	return names
}

// example is what t makes of columns that all hold "x".
func (t *template) example() string {
	s := ""
	for _, p := range t.parts {
		if p.column != "" {
			s += "x"
		}
		s += p.literal
	}
	return s
}

// checkColumn reports why a table can't have a column of this name.
func checkColumn(name string) error {
	switch {
	case name == "":
		return errors.New("a column without a name")
	case strings.ContainsAny(name, "`\x00"):
		return fmt.Errorf("column %q holds a character that no column name may hold", name)
	}
	return nil
}
