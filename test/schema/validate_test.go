package schema

import (
	"fmt"
	"strings"
	"testing"
)

// TestValidate: each damage is found, and mended by the statement that is printed
// beside it.
func TestValidate(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		damages := []struct {
			name, damage string
			fault        string // its name
			words        string // in its detail
		}{
			{"dropped column", "DROP COLUMN headers", "column headers", "no such column"},
			{"number", "MODIFY topic INT NOT NULL", "column topic", "must be text"},
			{"BINARY", "MODIFY message_key BINARY(40) NULL", "column message_key", "binary"},
			{"short topic", "MODIFY topic VARCHAR(30) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", "column topic", "takes 30"},
			{"latin1", "MODIFY message_key VARCHAR(255) CHARACTER SET latin1", "column message_key", "not UTF-8"},
			{"utf16", "MODIFY topic VARCHAR(255) CHARACTER SET utf16 NOT NULL", "column topic", "character set"},
			{"BLOB", "MODIFY payload BLOB NOT NULL", "column payload", "takes 65535 bytes"},
			{"NULL", "MODIFY payload LONGBLOB NULL", "column payload", "NULL"},
			{"NOT NULL", "MODIFY message_key VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL", "column message_key", "can't be inserted"},
			{"date", "MODIFY created_at DATE NOT NULL DEFAULT '2026-01-01'", "column created_at", "point in time"},
			{"no default", "MODIFY created_at DATETIME(6) NOT NULL", "column created_at", "no default"},
			{"no key", "DROP PRIMARY KEY", "primary key", "there is none"},
			{"another key", "DROP PRIMARY KEY, ADD PRIMARY KEY (topic)", "primary key", "(topic)"},
			{"MyISAM", "ENGINE=MyISAM", "engine", "not transactional"},
		}
		var tables []string
		for i := range damages {
			tables = append(tables, fmt.Sprintf("t%d", i))
		}
		arg := "--tables=" + strings.Join(tables, ",")
		w.want(t, 0, nil, "schema", "up", arg)
		for i, c := range damages {
			w.exec(t, "ALTER TABLE "+tables[i]+" "+c.damage)
		}
		found := w.validateEach(t, arg)
		for i, c := range damages {
			fault, ok := found[tables[i]][c.fault]
			if len(found[tables[i]]) != 1 || !ok || !strings.Contains(fault.Detail, c.words) {
				t.Errorf("%s: found %v, want %s: %s", c.name, found[tables[i]], c.fault, c.words)
				continue
			}
			w.exec(t, strings.TrimSuffix(fault.Fix, ";"))
		}
		for i, left := range w.validateEach(t, arg) {
			t.Errorf("the fix of table %s leaves %v", i, left)
		}
	})
}

// TestValidateVariant: the statements for another variant, in their order, make it.
func TestValidateVariant(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.want(t, 0, nil, "schema", "up")
		for _, variant := range []string{"partitioned", "innodb", "blackhole", "innodb"} {
			arg := "--variant=" + variant
			for range 3 { // a statement for each fault, in order
				r := w.binjet(t, "schema", "validate", arg)
				for line := range strings.Lines(r.stdout) {
					if _, fix, found := strings.Cut(strings.TrimSpace(line), "  fix: "); found && strings.HasPrefix(strings.TrimSpace(line), "FAIL") {
						w.exec(t, strings.TrimSuffix(fix, ";"))
					}
				}
			}
			if faults := w.validate(t, arg); len(faults) > 0 {
				t.Errorf("%s: %v", variant, faults)
			}
			w.want(t, 0, []string{"nothing to do"}, "schema", "up", "--dry-run", arg)
		}
	})
}

// TestValidateMapped: of a table of somebody else's design only what is mapped
// counts; and one that is not there is a fault.
func TestValidateMapped(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		if faults := w.validate(t); len(faults) != 1 || faults["table"].Detail == "" {
			t.Errorf("no table: %v", faults)
		}
		w.exec(t, "CREATE TABLE outbox (id CHAR(36) CHARACTER SET ascii PRIMARY KEY, kind VARCHAR(40) NOT NULL, body JSON NOT NULL, tenant INT NOT NULL) ENGINE=InnoDB")
		for key, column := range map[string]string{"TOPIC": "kind", "PAYLOAD": "body", "KEY": "-", "HEADERS": "-", "CREATED_AT": "-"} {
			w.env = append(w.env, "BINJET_SOURCE_COLUMNS_"+key+"="+column)
		}
		if faults := w.validate(t); len(faults) > 0 {
			t.Errorf("mapped: %v", faults)
		}
		w.exec(t, "ALTER TABLE outbox DROP COLUMN kind")
		if faults := w.validate(t); len(faults) != 1 || faults["column kind"].Detail == "" {
			t.Errorf("a mapped column that is not there: %v", faults)
		}
	})
}
