package schema

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/internal/outboxtable"
)

// Against is what a table is compared with.
type Against struct {
	// Variant the table is to be; "" for what it is.
	Variant binjet.Variant
	Today   time.Time
	// Mapped says that the columns are somebody else's design: then only what the
	// reader found counts, and that a row can be told by its ID.
	Mapped bool
	// Reader are the findings of [binlog.Reader.Check] about this table, by names as
	// [OfReader] gives them.
	Reader []binlog.Finding
}

// Validate compares a table with the one that binjet makes. A difference that
// loses or refuses what binjet's own table takes is a fault; another one that
// works is a warning. Each comes with the statement that mends it.
//
// Whether rows can be read from the binlog is what the reader says; what can be
// inserted, and told apart, is said here.
func Validate(live Live, against Against) ([]binlog.Finding, error) {
	quoted, err := binjet.QuoteTable(live.Table)
	if err != nil {
		return nil, err
	}
	if !live.Exists {
		return []binlog.Finding{{Name: "table", Detail: "there is no such table, or the account may not see it", Fix: "binjet schema up, or GRANT SELECT on it"}}, nil
	}
	v := validator{live: live, table: quoted, variant: against.Variant, reader: against.Reader}
	if v.variant == "" {
		v.variant = live.Variant()
	}
	if against.Mapped {
		return against.Reader, nil
	}
	columns, err := expected()
	if err != nil {
		return nil, err
	}
	v.version()
	v.engine()
	if v.variant != binjet.Partitioned { // the key of a partitioned table can't be changed
		v.partitions(against.Today)
		v.primary()
	} else {
		v.primary()
		v.partitions(against.Today)
	}
	for _, c := range columns {
		v.column(c)
	}
	v.others(columns)
	return v.list, nil
}

// OfReader picks the findings about a table, named with its schema, and leaves its
// name out of theirs: "engine", "column id".
func OfReader(findings []binlog.Finding, table string) []binlog.Finding {
	var list []binlog.Finding
	for _, f := range findings {
		if rest, ok := strings.CutPrefix(f.Name, "column "+table+"."); ok {
			f.Name = "column " + rest
		} else if rest, ok := strings.CutPrefix(f.Name, "table "+table); ok && (rest == "" || rest[0] == ' ') {
			f.Name = strings.TrimSpace("table" + rest)
		} else {
			continue
		}
		list = append(list, f)
	}
	return list
}

type validator struct {
	live    Live
	variant binjet.Variant
	table   string // quoted
	reader  []binlog.Finding
	list    []binlog.Finding
}

// alter is the statement that changes the table.
func (v *validator) alter(format string, args ...any) string {
	return "ALTER TABLE " + v.table + " " + fmt.Sprintf(format, args...) + ";"
}

// unreadable is what the reader says against something; "" for nothing.
func (v *validator) unreadable(name string) string {
	for _, f := range v.reader {
		if f.Name == name && !f.OK {
			return f.Detail
		}
	}
	return ""
}

func (v *validator) ok(name, format string, args ...any) {
	v.list = append(v.list, binlog.Finding{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (v *validator) fault(name, fix, format string, args ...any) {
	v.list = append(v.list, binlog.Finding{Name: name, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

func (v *validator) warn(name, detail, format string, args ...any) {
	v.list = append(v.list, binlog.Finding{Name: name, OK: true, Detail: detail, Warning: fmt.Sprintf(format, args...)})
}

func (v *validator) version() {
	const name = "version"
	switch l := v.live; {
	case l.Version > binjet.SchemaVersion:
		v.fault(name, "run the binjet that made it, or a newer one", "%d, and this binjet knows those up to %d", l.Version, binjet.SchemaVersion)
	case l.Version < binjet.SchemaVersion:
		v.fault(name, "binjet schema up", "%d of %d", l.Version, binjet.SchemaVersion)
	case !l.Recorded:
		v.ok(name, "%d, since its comment names none", l.Version)
	default:
		v.ok(name, "%d", l.Version)
	}
}

func (v *validator) engine() {
	const name = "engine"
	have, want := v.live.Engine, "InnoDB"
	if v.variant == binjet.Blackhole {
		want = "BLACKHOLE"
	}
	fix := v.alter("ENGINE=%s", want)
	problem := v.unreadable("table engine")
	switch {
	case problem != "":
		v.fault(name, fix, "%s", problem)
	case strings.EqualFold(have, want):
		v.ok(name, "%s", have)
	case want == "BLACKHOLE":
		v.fault(name, fix, "%s, and variant %s is wanted: the statement drops all rows, which have to be published before", have, v.variant)
	case strings.EqualFold(have, "BLACKHOLE"):
		v.fault(name, fix, "%s, and variant %s is wanted", have, v.variant)
	default:
		v.warn(name, have, "binjet makes it %s", want)
	}
}

// primary: an ID of its own is what a snapshot is read by, and what refuses an
// event that is inserted twice.
func (v *validator) primary() {
	const name = "primary key"
	want := []string{binjet.ColumnID}
	if v.variant == binjet.Partitioned {
		want = append(want, binjet.ColumnCreatedAt)
	}
	have, text := strings.Join(v.live.Primary, ", "), strings.Join(want, ", ")
	switch {
	case have == text:
		v.ok(name, "(%s)", text)
	case slices.ContainsFunc(v.live.Unique, func(key []string) bool { return slices.Equal(key, want) }):
		v.warn(name, "("+have+")", "(%s) is unique by another key", text)
	case have == "":
		v.fault(name, v.alter("ADD PRIMARY KEY (%s)", text), "there is none, and (%s) is not unique", text)
	default:
		v.fault(name, v.alter("DROP PRIMARY KEY, ADD PRIMARY KEY (%s)", text), "(%s), and (%s) is not unique", have, text)
	}
}

func (v *validator) partitions(today time.Time) {
	const name = "partitions"
	days := v.live.Partitions
	switch {
	case v.live.Foreign != nil:
		v.warn(name, "not binjet's", "%v", v.live.Foreign)
	case v.variant != binjet.Partitioned && len(days) > 0:
		v.fault(name, v.alter("REMOVE PARTITIONING"), "there are %d, and variant %s is wanted", len(days), v.variant)
	case v.variant != binjet.Partitioned:
	case len(days) == 0:
		clause := outboxtable.Clause(binjet.ColumnCreatedAt, outboxtable.Days(today, binjet.DefaultDays))
		v.fault(name, v.alter("%s", strings.Join(strings.Fields(clause), " ")), "there are none")
	default:
		v.days(name, outboxtable.Add(v.table, days, outboxtable.Coming(days, today, binjet.DefaultDays)), today)
	}
}

// days judges whether the partitions reach far enough.
func (v *validator) days(name, add string, today time.Time) {
	days := v.live.Partitions
	open := slices.ContainsFunc(days, outboxtable.Partition.IsCatchAll)
	last := days[0]
	for _, p := range days {
		if p.Before.After(last.Before) {
			last = p
		}
	}
	detail := fmt.Sprintf("%d, up to %s", len(days), last.Name)
	switch left := last.Before.Sub(today); {
	case left > 24*time.Hour:
		v.ok(name, "%s", detail)
	case open:
		v.warn(name, detail, "later rows wait in the last one, which can't be dropped by the day: binjet schema up, or %s;", add)
	default:
		v.fault(name, add+";", "%s: inserts fail behind its end", detail)
	}
}

func (v *validator) column(want definition) {
	name := "column " + want.name
	have, found := v.live.Columns[want.name]
	if !found {
		v.fault(name, v.alter("ADD COLUMN %s %s", want.name, want.text), "there is no such column")
		return
	}
	fix := v.alter("MODIFY COLUMN %s %s", want.name, want.text)
	if problem := v.unreadable(name); problem != "" {
		v.fault(name, fix, "%s", problem)
		return
	}
	detail := describe(have)
	fault, warning := want.differences(have)
	switch {
	case fault != "":
		v.fault(name, fix, "%s: %s", detail, fault)
	case warning != "":
		v.warn(name, detail, "%s: %s", warning, fix)
	default:
		v.ok(name, "%s", detail)
	}
}

func describe(c Column) string {
	s := c.Type
	if c.Collation != "" {
		s += " " + c.Collation
	}
	if !c.Null {
		s += " not null"
	}
	return s
}

// others are columns that binjet neither fills nor reads.
func (v *validator) others(known []definition) {
	var names []string
	for key, c := range v.live.Columns {
		if slices.ContainsFunc(known, func(d definition) bool { return d.name == key }) {
			continue
		}
		if !c.HasValue {
			v.fault("column "+c.Name, "give it a default, let it be NULL, or "+v.alter("DROP COLUMN `%s`", c.Name),
				"it has no default, so each insert of binjet's producer fails")
			continue
		}
		names = append(names, c.Name)
	}
	if names != nil {
		slices.Sort(names)
		v.ok("other columns", "%s; they are passed over", strings.Join(names, ", "))
	}
}
