package binlog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/binjet/binjet"
)

// NoColumn as the name of a column says that the outbox table has none for it.
const NoColumn = "-"

// How BINARY(16) columns hold UUIDs.
const (
	// UUIDStandard: the bytes in the order of the text, as UUID_TO_BIN(x) makes them.
	UUIDStandard = "standard"
	// UUIDSwapped: the time's high part first, as MySQL's UUID_TO_BIN(x, 1) makes them.
	UUIDSwapped = "swapped"
)

// Columns are the names of an outbox table's columns. Empty ones are the
// defaults of package binjet, and none for Tracing. Key, Headers, CreatedAt and
// Tracing may be [NoColumn], and so may Topic where a [Route] has one.
//
// ID is text, or a UUID in BINARY(16) or MariaDB's UUID: numbers are refused, since
// a message ID has to be unique for ever, and not in one table only. Topic and Key
// may be of any type that a header may be of (see [Config.Headers]).
type Columns struct {
	ID, Topic, Key, Headers, Payload, CreatedAt string
	// Tracing holds Java properties, as Debezium's tracingspancontext does: each of
	// them becomes a header. With a ? behind it the column may be missing.
	Tracing string
}

// Route makes topic and key of several columns. A template is text with ${column}
// in it, for any column of the table; $$ is a dollar sign. It takes the place of
// the column of the same name in [Columns], which must be empty then.
//
// A column that is NULL or empty leaves a hole in what is made of it, so such a row
// can't be published. In a topic a value is one or more tokens of a subject. Values
// are never rewritten: one that does not fit makes the row one that can't be
// published, too.
type Route struct {
	Topic, Key string
}

// Mapping says how the rows of a table become messages: fields of [Config].
type Mapping struct {
	Columns     Columns
	Route       Route
	Headers     []string
	ContentType string
}

// Debezium is the mapping of the table that Debezium's outbox event router reads:
// id, aggregatetype, aggregateid, type, payload and perhaps tracingspancontext. The
// topic is aggregatetype and type, the key aggregateid, and type is the header
// eventType, too, which is what Debezium's documentation calls it.
func Debezium() Mapping {
	return Mapping{
		Columns: Columns{ID: "id", Topic: NoColumn, Key: "aggregateid", Headers: NoColumn, Payload: "payload",
			CreatedAt: NoColumn, Tracing: "tracingspancontext?"},
		Route:       Route{Topic: "${aggregatetype}.${type}"},
		Headers:     []string{"type:eventType"},
		ContentType: "application/json",
	}
}

// headerColumn is a column that becomes a header.
type headerColumn struct {
	column, name string
	optional     bool // the table may lack it
}

// parseHeaderColumn reads "column", "column:Header-Name", and either with a ?
// behind the column.
func parseHeaderColumn(s string) (h headerColumn, err error) {
	h.column, h.name, _ = strings.Cut(s, ":")
	h.column, h.optional = strings.CutSuffix(h.column, "?")
	if h.name == "" {
		h.name = h.column
	}
	if err := checkColumn(h.column); err != nil {
		return h, fmt.Errorf("%q: %w", s, err)
	}
	if binjet.ReservedHeader(h.name) {
		return h, fmt.Errorf("%q: header %s is reserved: names that begin with Outbox- or Nats- belong to binjet and the broker; write %s:Another-Name", s, h.name, h.column)
	}
	if err := binjet.CheckHeader(h.name, ""); err != nil {
		return h, fmt.Errorf("%q: %w; write %s:Another-Name", s, err, h.column)
	}
	return h, nil
}

// CheckHeaderColumns reports every fault of a [Config.Headers].
func CheckHeaderColumns(list []string) error {
	_, err := parseHeaderColumns(list)
	return err
}

func parseHeaderColumns(list []string) (out []headerColumn, err error) {
	var faults []error
	seen := make(map[string]string)
	for _, s := range list {
		h, err := parseHeaderColumn(s)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		low := strings.ToLower(h.name)
		if other, ok := seen[low]; ok {
			faults = append(faults, fmt.Errorf("%q and %q make the same header", other, s))
		}
		seen[low] = s
		out = append(out, h)
	}
	return out, errors.Join(faults...)
}

// mapping is a [Mapping] that was read.
type mapping struct {
	Columns
	topic, key  *template // nil: a column
	headers     []headerColumn
	tracing     headerColumn // without a column: none
	contentType string
	swapped     bool
}

// newMapping reads the mapping of a configuration that was validated.
func newMapping(c Config) mapping {
	m := mapping{Columns: c.Columns, contentType: c.ContentType, swapped: c.BinaryUUID == UUIDSwapped}
	m.topic, _ = parseTemplate(c.Route.Topic)
	m.key, _ = parseTemplate(c.Route.Key)
	m.headers, _ = parseHeaderColumns(c.Headers)
	if c.Columns.Tracing != NoColumn {
		m.tracing.column, m.tracing.optional = strings.CutSuffix(c.Columns.Tracing, "?")
	}
	return m
}

// String says what differs from the table that binjet creates; "" when nothing does.
func (m *mapping) String() string {
	var s []string
	add := func(what, column, standard string, t *template) {
		switch {
		case t != nil:
			s = append(s, what+" "+t.text)
		case column == NoColumn && standard != NoColumn:
			s = append(s, "no "+what)
		case column != standard:
			s = append(s, what+" "+column)
		}
	}
	add("id", m.ID, binjet.ColumnID, nil)
	add("topic", m.Topic, binjet.ColumnTopic, m.topic)
	add("key", m.Key, binjet.ColumnKey, m.key)
	add("headers", m.Columns.Headers, binjet.ColumnHeaders, nil)
	add("payload", m.Payload, binjet.ColumnPayload, nil)
	add("created_at", m.CreatedAt, binjet.ColumnCreatedAt, nil)
	add("tracing", m.Tracing, NoColumn, nil)
	for _, h := range m.headers {
		s = append(s, "header "+h.name+" of "+h.column)
	}
	if m.contentType != "" {
		s = append(s, binjet.HeaderContentType+" "+m.contentType)
	}
	if m.swapped {
		s = append(s, "UUIDs swapped")
	}
	return strings.Join(s, ", ")
}

// use is one thing that a column is needed for.
type use struct {
	column   string
	role     role
	field    string // what it is for, in words
	optional bool   // the table may lack it
	needed   bool   // a row without a value can't be published
}

// role is what a value must be able to be.
type role int

const (
	asID       role = iota
	asTopic         // text of a subject, of ASCII only
	asText          // text of any kind
	asBytes         // as it is
	asTime          // a point in time
	asProperty      // text of Java properties
)

// uses lists the columns that the mapping reads, first those that every row has.
func (m *mapping) uses() (list []use) {
	add := func(u use) {
		if u.column != NoColumn && u.column != "" {
			list = append(list, u)
		}
	}
	add(use{column: m.ID, role: asID, field: "ID", needed: true})
	if m.topic == nil {
		add(use{column: m.Topic, role: asTopic, field: "topic", needed: true})
	}
	for _, c := range m.topic.columns() {
		add(use{column: c, role: asTopic, field: "topic " + m.topic.text, needed: true})
	}
	if m.key == nil {
		add(use{column: m.Key, role: asText, field: "key"})
	}
	for _, c := range m.key.columns() {
		add(use{column: c, role: asText, field: "key " + m.key.text, needed: true})
	}
	add(use{column: m.Columns.Headers, role: asBytes, field: "headers"})
	add(use{column: m.Payload, role: asBytes, field: "payload", needed: true})
	add(use{column: m.CreatedAt, role: asTime, field: "creation time"})
	for _, h := range m.headers {
		add(use{column: h.column, role: asText, field: "header " + h.name, optional: h.optional})
	}
	add(use{column: m.tracing.column, role: asProperty, field: "tracing context", optional: m.tracing.optional})
	return list
}

// validate reports every fault of a mapping.
func (c Config) validateMapping() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	faults = c.Columns.validate(c.Route)
	if c.Route.Topic != "" {
		if err := CheckTopicTemplate(c.Route.Topic); err != nil {
			fault("Route.Topic: %w", err)
		}
	}
	if c.Route.Key != "" {
		if err := CheckKeyTemplate(c.Route.Key); err != nil {
			fault("Route.Key: %w", err)
		}
	}
	if err := CheckHeaderColumns(c.Headers); err != nil {
		fault("Headers: %w", err)
	}
	if err := binjet.CheckHeader(binjet.HeaderContentType, c.ContentType); err != nil {
		fault("ContentType: %w", err)
	}
	if c.BinaryUUID != UUIDStandard && c.BinaryUUID != UUIDSwapped {
		fault("BinaryUUID %q is neither %s nor %s", c.BinaryUUID, UUIDStandard, UUIDSwapped)
	}
	return faults
}

func (c Columns) validate(r Route) (faults []error) {
	seen := make(map[string]string)
	for _, col := range c.list() {
		template := col.field == "Topic" && r.Topic != "" || col.field == "Key" && r.Key != ""
		switch {
		case col.name == NoColumn && !col.optional && !template:
			faults = append(faults, fmt.Errorf("mapping Columns.%s may not be %q: every message needs it", col.field, NoColumn))
			continue
		case col.name == NoColumn:
			continue
		case template:
			faults = append(faults, fmt.Errorf("mapping Columns.%s is %q, and Route.%[1]s makes the same of a template: set one of them", col.field, col.name))
		}
		if other, ok := seen[strings.ToLower(col.name)]; ok {
			faults = append(faults, fmt.Errorf("mappings Columns.%s and Columns.%s are both %q", other, col.field, col.name))
		}
		seen[strings.ToLower(col.name)] = col.field
		if err := checkColumn(col.name); err != nil {
			faults = append(faults, fmt.Errorf("mapping Columns.%s: %w", col.field, err))
		}
	}
	return faults
}

// column is one entry of a [Columns].
type column struct {
	field, name string
	optional    bool // may be [NoColumn]
}

func (c Columns) list() []column {
	return []column{
		{"ID", c.ID, false},
		{"Topic", c.Topic, false},
		{"Key", c.Key, true},
		{"Headers", c.Headers, true},
		{"Payload", c.Payload, false},
		{"CreatedAt", c.CreatedAt, true},
		{"Tracing", strings.TrimSuffix(c.Tracing, "?"), true},
	}
}
