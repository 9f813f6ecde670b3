package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Schema is the SQL that creates what is absent, for your own migrations: one or
// two statements, separated by ";" and a line's end.
func (s *SQL) Schema() string { return strings.Join(s.speech.schema(), ";\n") }

// SchemaError says what keeps a table, or a bucket, from being an inbox.
type SchemaError struct {
	Table  string
	Faults []string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("%s can't be the inbox: %s", e.Table, strings.Join(e.Faults, "; "))
}

// fault is one thing that is wrong with a table, and the statements by which
// EnsureSchema puts it right; none where that could lose something.
type fault struct {
	what string
	fix  []string
}

// Validate compares the table with what an inbox needs and names everything that
// differs, as a [SchemaError]: the missing table, column types, collations that
// take two IDs for one, an engine without transactions, the primary key, the index
// by which old marks are found. More columns are fine as long as they need no
// value. It changes nothing. The other errors say that the database can't be asked.
func (s *SQL) Validate(ctx context.Context, db *sql.DB) error {
	faults, err := s.speech.faults(ctx, db)
	if err != nil {
		return fmt.Errorf("inbox: look at table %s: %w", s.table, err)
	}
	return s.asError(faults)
}

func (s *SQL) asError(faults []fault) error {
	if len(faults) == 0 {
		return nil
	}
	e := &SchemaError{Table: s.table}
	for _, f := range faults {
		e.Faults = append(e.Faults, f.what)
	}
	return fmt.Errorf("inbox: %w", e)
}

// ensureTries is how often EnsureSchema looks again after another process was
// doing the same.
const ensureTries = 5

// EnsureSchema creates the table when it is absent, and adds to one that an older
// version of binjet made the column and the index that it lacks. Any number of
// processes may do it at the same time, and any number of times. What it can't put
// right without a risk it names and leaves alone: a [SchemaError], as of Validate.
//
// It needs the right to create and alter tables. Do not call it inside a
// transaction that matters: on MySQL and MariaDB it commits what is open.
func (s *SQL) EnsureSchema(ctx context.Context, db *sql.DB) error {
	var failed error
	for range ensureTries {
		faults, err := s.speech.faults(ctx, db)
		if err != nil {
			return fmt.Errorf("inbox: look at table %s: %w", s.table, errors.Join(err, failed))
		}
		fixable := slices.IndexFunc(faults, func(f fault) bool { return len(f.fix) > 0 })
		if fixable < 0 {
			return s.asError(faults)
		}
		// Another process may do the same just now; whoever comes second fails, and
		// sees at the next look what there is.
		failed = s.fix(ctx, db, faults[fixable].fix)
	}
	return fmt.Errorf("inbox: create or alter table %s: %w", s.table, failed)
}

func (s *SQL) fix(ctx context.Context, db *sql.DB, statements []string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// column is what all dialects know of one.
type column struct {
	name     string
	kind     string // type as the database writes it, in lower case
	nullable bool
	def      sql.NullString // its default
	// exact is false when the column takes values for equal that are not.
	collation string
	exact     bool
}

// checkKeyColumn is for consumer and message_id.
func checkKeyColumn(c column) (fault, bool) {
	switch n := capacity(c.kind); {
	case n < 64:
		return fault{what: fmt.Sprintf("column %s is %s: text of 64 characters or more is needed", c.name, c.kind)}, false
	case !c.exact:
		return fault{what: fmt.Sprintf("column %s has the collation %s, which takes different IDs for the same: a binary one is needed",
			c.name, c.collation)}, false
	}
	return fault{}, true
}

// capacity is how many characters a text type holds; 0 for what is no such type.
func capacity(kind string) int {
	if kind == "text" {
		return 1 << 30
	}
	m := regexp.MustCompile(`^(?:varchar|character varying)(?:\((\d+)\))?$`).FindStringSubmatch(kind)
	switch {
	case m == nil:
		return 0
	case m[1] == "":
		return 1 << 30
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// checkColumns are the faults of columns: missing ones, those that own reports of
// its columns, and further ones that an INSERT would have to fill.
func checkColumns(columns []column, own map[string]func(column) (fault, bool), missing map[string]fault) []fault {
	var faults []fault
	seen := map[string]bool{}
	for _, c := range columns {
		seen[c.name] = true
		check, ours := own[c.name]
		if !ours {
			if !c.nullable && !c.def.Valid {
				faults = append(faults, fault{what: fmt.Sprintf("column %s is not one of the inbox, NOT NULL and without a default", c.name)})
			}
			continue
		}
		if f, ok := check(c); !ok {
			faults = append(faults, f)
		}
	}
	for _, name := range sortedKeys(own) {
		if f := missing[name]; !seen[name] {
			faults = append(faults, fault{"column " + name + " is missing", f.fix})
		}
	}
	return faults
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// key is a usable index; its columns in order.
type key struct {
	name    string
	unique  bool
	columns []string
}

// checkKeys: uniqueness is what the promise rests on; the other index only makes
// cleaning up cheap. primary is the key's columns in the order by which marks are
// looked up; where it has a name, that is the only one that will do.
func checkKeys(keys []key, primary key, addIndex ...string) []fault {
	var faults []fault
	unique := func(k key) bool {
		return k.unique && slices.Equal(k.columns, primary.columns) && (primary.name == "" || k.name == primary.name)
	}
	if !slices.ContainsFunc(keys, unique) {
		faults = append(faults, fault{what: fmt.Sprintf("it has no primary key (%s): one message could be marked twice, or is looked up in all of the table",
			strings.Join(primary.columns, ", "))})
	}
	byAge := func(k key) bool {
		return len(k.columns) > 1 && slices.Equal(k.columns[:2], []string{"consumer", "created_at"})
	}
	if !slices.ContainsFunc(keys, byAge) {
		faults = append(faults, fault{"it has no index on (consumer, created_at), by which old marks are found", addIndex})
	}
	return faults
}
