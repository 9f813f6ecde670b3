package binjet

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/binjet/binjet/internal/outboxtable"
)

// SchemaVersion is the version of the outbox table that this package makes.
const SchemaVersion = 1

// Variant is how an outbox table stores its rows. docs/schema.md compares them.
type Variant string

const (
	// InnoDB keeps rows until somebody deletes them, and refuses an ID that it holds.
	InnoDB Variant = "innodb"
	// Partitioned is InnoDB by partitions of one day (UTC), so that a day's rows
	// are dropped at once. The server demands created_at in the primary key, so an
	// ID is unique only together with it: two inserts of one ID are two events.
	Partitioned Variant = "partitioned"
	// Blackhole keeps no rows at all: they are in the binlog only. So there is no
	// snapshot, no rescan and nothing to verify the stream by, and no ID is refused.
	// A row that is purged from the binlog before it is published is lost. MariaDB
	// needs the plugin ha_blackhole.
	Blackhole Variant = "blackhole"
)

// Variants are all of them.
func Variants() []Variant { return []Variant{InnoDB, Partitioned, Blackhole} }

// DefaultDays is how many days' partitions are made, from today on.
const DefaultDays = 7

// Schema is an outbox table to be made: its SQL, for MySQL and MariaDB alike. It
// is for whoever migrates by tools of their own; `binjet schema` runs the same.
//
// The table carries its version in its comment ("binjet outbox v1"), where it is
// changed by the statement that changes the table, and goes wherever that goes. A
// table without such a comment counts as version 1.
type Schema struct {
	// Table is "name" or "schema.name"; see [QuoteTable] for what is refused.
	// Default: [DefaultTable].
	Table string
	// Variant of the table. Default: [InnoDB].
	Variant Variant
	// Today is the first day of a partitioned table. Default: the day it is, UTC.
	Today time.Time
	// Days is how many days' partitions there are to be, today included. What no
	// day takes goes into a last partition without bound. Default: [DefaultDays].
	Days int
}

//go:embed schema/*.sql
var migrations embed.FS

// OutboxSQL is the statement that creates the outbox table when it is absent,
// as [InnoDB]. table is "name" or "schema.name"; see [QuoteTable] for what is refused.
func OutboxSQL(table string) (string, error) {
	quoted, err := QuoteTable(table)
	if err != nil {
		return "", err
	}
	return Schema{}.render(1, quoted)
}

// Up returns the statements that bring a table of version from to
// [SchemaVersion]: from 0, no table, the one that creates it; from SchemaVersion,
// none. Each leaves the table in a version of its own, so that they can be taken
// up again behind any of them.
func (s Schema) Up(from int) ([]string, error) {
	quoted, err := s.check()
	if err != nil {
		return nil, err
	}
	if from < 0 || from > SchemaVersion {
		return nil, fmt.Errorf("table %s has version %d, and this binjet knows those up to %d: use a newer binjet", quoted, from, SchemaVersion)
	}
	var list []string
	for v := from + 1; v <= SchemaVersion; v++ {
		statement, err := s.render(v, quoted)
		if err != nil {
			return nil, err
		}
		list = append(list, statement)
	}
	return list, nil
}

// Down returns the statement that drops the table with all of its rows, also
// those that are not published yet: `binjet schema down` looks first.
func (s Schema) Down() (string, error) {
	quoted, err := s.check()
	if err != nil {
		return "", err
	}
	return "DROP TABLE IF EXISTS " + quoted, nil
}

// SchemaVersionOf reads the version in a table's comment; false without any.
func SchemaVersionOf(comment string) (version int, ok bool) {
	found := versionComment().FindStringSubmatch(comment)
	if found == nil {
		return 0, false
	}
	version, err := strconv.Atoi(found[1])
	return version, err == nil
}

func versionComment() *regexp.Regexp { return regexp.MustCompile(`\bbinjet outbox v([1-9][0-9]*)\b`) }

func (s Schema) check() (quoted string, err error) {
	table := s.Table
	if table == "" {
		table = DefaultTable
	}
	if s.Days < 0 {
		return "", fmt.Errorf("table %s: Days is %d: at least 1 is needed, 0 is the default of %d", table, s.Days, DefaultDays)
	}
	return QuoteTable(table)
}

// render is the statement of one migration: the file of this number in schema/.
func (s Schema) render(version int, quoted string) (string, error) {
	names, err := fs.Glob(migrations, fmt.Sprintf("schema/%04d_*.sql", version))
	if err != nil || len(names) != 1 {
		return "", fmt.Errorf("version %d of the outbox table is %d files of schema/ and not one", version, len(names))
	}
	text, err := migrations.ReadFile(names[0])
	if err != nil {
		return "", err
	}
	engine, key, partitions := "InnoDB", ColumnID, ""
	switch s.Variant {
	case InnoDB, "":
	case Partitioned:
		key, partitions = ColumnID+", "+ColumnCreatedAt, "\n"+outboxtable.Clause(ColumnCreatedAt, s.partitions())
	case Blackhole:
		engine = "BLACKHOLE"
	default:
		return "", fmt.Errorf("variant %q is none of %v", s.Variant, Variants())
	}
	return strings.TrimSpace(strings.NewReplacer("{{table}}", quoted, "{{engine}}", engine, "{{key}}", key,
		"{{partitions}}", partitions).Replace(string(text))), nil
}

func (s Schema) partitions() []outboxtable.Partition {
	today, days := s.Today, s.Days
	if today.IsZero() {
		today = time.Now()
	}
	if days == 0 {
		days = DefaultDays
	}
	return outboxtable.Days(today, days)
}
