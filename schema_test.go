package binjet

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// goldenDays are those of the golden file of the partitioned table.
var goldenDays = Schema{Table: "shop.events", Today: time.Date(2026, 1, 31, 23, 59, 0, 0, time.UTC), Days: 2}

// TestSchemaGolden: what people put into their own migrations does not change by
// accident.
func TestSchemaGolden(t *testing.T) {
	for _, variant := range Variants() {
		s := goldenDays
		s.Variant = variant
		statements, err := s.Up(0)
		if err != nil {
			t.Fatal(err)
		}
		down, err := s.Down()
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/schema_" + string(variant) + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(append(statements, down), ";\n\n") + ";\n"
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", variant, got, want)
		}
	}
}

// TestSchemaMigrations: a migration is one statement that leaves its version in
// the comment, so that no crash leaves a table without knowing which it has.
func TestSchemaMigrations(t *testing.T) {
	statements, err := Schema{}.Up(0)
	if err != nil || len(statements) != SchemaVersion {
		t.Fatalf("%d statements for %d versions: %v", len(statements), SchemaVersion, err)
	}
	files, err := migrations.ReadDir("schema")
	if err != nil || len(files) != SchemaVersion {
		t.Fatalf("%d files for %d versions: %v", len(files), SchemaVersion, err)
	}
	for i, statement := range statements {
		if v, ok := SchemaVersionOf(statement); !ok || v != i+1 {
			t.Errorf("statement %d leaves version %d: %s", i+1, v, statement)
		}
		if strings.Contains(statement, ";") || strings.Contains(statement, "{{") {
			t.Errorf("statement %d is more than one, or not filled in: %s", i+1, statement)
		}
	}
	if rest, err := (Schema{}).Up(SchemaVersion); err != nil || len(rest) != 0 {
		t.Errorf("of the newest version: %q, %v", rest, err)
	}
}

func TestSchemaDefaults(t *testing.T) {
	today := time.Now().UTC().Format("p20060102")
	statements, err := Schema{Variant: Partitioned}.Up(0)
	if err != nil {
		t.Fatal(err)
	}
	if s := statements[0]; !strings.HasPrefix(s, "CREATE TABLE IF NOT EXISTS `outbox` (") || !strings.Contains(s, today) && !strings.Contains(s, time.Now().UTC().Format("p20060102")) ||
		strings.Count(s, "PARTITION `p2") != DefaultDays {
		t.Errorf("got %s", s)
	}
	plain, err := OutboxSQL("outbox")
	innodb, err2 := Schema{}.Up(0)
	if err != nil || err2 != nil || !slices.Equal([]string{plain}, innodb) {
		t.Errorf("OutboxSQL is %q, %v; the default is %q, %v", plain, err, innodb, err2)
	}
	for _, column := range []string{ColumnID, ColumnTopic, ColumnKey, ColumnHeaders, ColumnPayload, ColumnCreatedAt} {
		if !strings.Contains(plain, "\n  "+column+" ") {
			t.Errorf("no column %s", column)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	for name, s := range map[string]Schema{
		"table": {Table: "a`b"}, "variant": {Variant: "myisam"}, "days": {Days: -1},
	} {
		if got, err := s.Up(0); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got, err := (Schema{Table: "a`b"}).Down(); err == nil {
		t.Errorf("got %q", got)
	}
	if got, err := OutboxSQL("a`b"); err == nil {
		t.Errorf("got %q", got)
	}
	for _, from := range []int{-1, SchemaVersion + 1} {
		if got, err := (Schema{}).Up(from); err == nil {
			t.Errorf("from %d: got %q", from, got)
		}
	}
}

func TestSchemaVersionOf(t *testing.T) {
	for comment, want := range map[string]int{
		"binjet outbox v1": 1, "events of the shop (binjet outbox v12)": 12, "": 0, "outbox v1": 0, "binjet outbox v0": 0,
		"binjet outbox v1x": 0, "binjet outbox v99999999999999999999": 0,
	} {
		got, ok := SchemaVersionOf(comment)
		if ok != (want > 0) || ok && got != want {
			t.Errorf("%q: got %d, %v", comment, got, ok)
		}
	}
}
