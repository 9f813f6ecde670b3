package binlog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/internal/slab"
)

// layout is where the mapped columns of one version of a table are: of its rows in
// the binlog, or of a SELECT from it.
type layout struct {
	*mapping
	event *replication.TableMapEvent // what it was made from; nil for a SELECT
	table table
	fault string // why no row of it can be read
	hint  string

	names []string // of all columns
	types []columnType
	cells []cell // nil: go-mysql decodes the rows
	room  *slab.Slab[byte]

	id, topic, key, headers, payload, createdAt, tracing int // index; -1: none

	topicParts, keyParts []boundPart // of templates
	plain                plainHeaders
	extra                []boundHeader
}

// plainHeaders is a headers column that holds nothing but a content type. Most rows of
// a table have the same one, which is decoded once.
type plainHeaders struct {
	column      []byte
	contentType string
}

// boundPart is a part of a template: literal text, or a column by its index.
type boundPart struct {
	literal string
	column  int // -1: literal
}

// boundHeader is a column that becomes a header.
type boundHeader struct {
	name   string
	column int
}

func newLayout(m *mapping, of table, names []string, types []columnType) *layout {
	l := &layout{mapping: m, table: of, names: names, types: types}
	at := make(map[string]int, len(names))
	for i, name := range names {
		at[strings.ToLower(name)] = i
	}
	var missing []string
	index := func(name string, optional bool) int {
		if name == NoColumn || name == "" {
			return -1
		}
		if i, ok := at[strings.ToLower(name)]; ok {
			return i
		}
		if !optional && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
		return -1
	}
	l.id, l.topic, l.key = index(m.ID, false), index(m.Topic, false), index(m.Key, false)
	l.headers, l.payload, l.createdAt = index(m.Columns.Headers, false), index(m.Payload, false), index(m.CreatedAt, false)
	l.topicParts, l.keyParts = m.topic.bind(index), m.key.bind(index)
	for _, h := range m.headers {
		if i := index(h.column, h.optional); i >= 0 {
			l.extra = append(l.extra, boundHeader{h.name, i})
		}
	}
	l.tracing = index(m.tracing.column, m.tracing.optional)
	if missing != nil {
		l.fault = fmt.Sprintf("it had no column %s when the row was written", strings.Join(missing, ", "))
		l.hint = hintColumns
	}
	return l
}

func (t *template) bind(index func(name string, optional bool) int) (parts []boundPart) {
	if t == nil {
		return nil
	}
	for _, p := range t.parts {
		b := boundPart{literal: p.literal, column: -1}
		if p.column != "" {
			b.column = index(p.column, false)
		}
		parts = append(parts, b)
	}
	return parts
}

func (l *layout) mapped(i int) bool {
	switch i {
	case l.id, l.topic, l.key, l.headers, l.payload, l.createdAt, l.tracing:
		return true
	}
	in := func(p boundPart) bool { return p.column == i }
	return slices.ContainsFunc(l.topicParts, in) || slices.ContainsFunc(l.keyParts, in) ||
		slices.ContainsFunc(l.extra, func(h boundHeader) bool { return h.column == i })
}
