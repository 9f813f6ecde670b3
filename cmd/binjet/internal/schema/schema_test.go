package schema

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/outboxtable"
)

var today = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// good is the table that binjet makes, as a server describes it.
func good() Live {
	column := func(name, kind string, length int64, collation string, null bool) Column {
		return Column{Name: name, Type: kind, Kind: kind, Length: length, Collation: collation, Null: null, HasValue: null}
	}
	created := Column{Name: "created_at", Type: "timestamp(6)", Kind: "timestamp", Precision: 6, HasValue: true}
	return Live{Table: "shop.outbox", Exists: true, Engine: "InnoDB", Comment: "binjet outbox v1", Version: 1, Recorded: true,
		Primary: []string{"id"}, Unique: [][]string{{"id"}}, Columns: map[string]Column{
			"id": column("id", "varchar", 64, "ascii_bin", false), "topic": column("topic", "varchar", 255, "ascii_bin", false),
			"message_key": column("message_key", "varchar", 255, "utf8mb4_bin", true), "headers": column("headers", "longblob", longblob, "", true),
			"payload": column("payload", "longblob", longblob, "", false), "created_at": created,
		}}
}

// partitioned is good by day, from today on.
func partitioned(days int) Live {
	l := good()
	l.Primary, l.Unique = []string{"id", "created_at"}, [][]string{{"id", "created_at"}}
	l.Partitions = outboxtable.Days(today, days)
	return l
}

func TestPlan(t *testing.T) {
	newer := good()
	newer.Version = binjet.SchemaVersion + 1
	foreign := good()
	foreign.Foreign = errors.New("by hash")
	blackhole := good()
	blackhole.Engine = "BLACKHOLE"
	for _, c := range []struct {
		name    string
		live    Live
		variant binjet.Variant
		want    []string // words of the statements
		err     string
	}{
		{"none", Live{}, "", []string{"ENGINE=InnoDB"}, ""},
		{"none, of a variant", Live{}, binjet.Partitioned, []string{"`p20260206`"}, ""},
		{"there", good(), "", nil, ""},
		{"there, and asked for", good(), binjet.InnoDB, nil, ""},
		{"there as another", good(), binjet.Partitioned, nil, "there as innodb and not as partitioned"},
		{"blackhole", blackhole, "", nil, ""},
		{"newer", newer, "", nil, "newer binjet"},
		{"all days there", partitioned(7), "", nil, ""},
		{"days lack", partitioned(5), binjet.Partitioned, []string{"REORGANIZE PARTITION `pmax` INTO (PARTITION `p20260205`"}, ""},
		{"somebody else's partitions", foreign, "", nil, ""},
	} {
		c.live.Table = "shop.outbox"
		got, err := Plan(c.live, Want{Table: "shop.outbox", Variant: c.variant, Today: today})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: got %q, %v", c.name, got, err)
			continue
		}
		for i, words := range c.want {
			if !strings.Contains(got[i], words) {
				t.Errorf("%s: no %q in %s", c.name, words, got[i])
			}
		}
	}
}

func TestValidateGood(t *testing.T) {
	blackhole := good()
	blackhole.Engine = "BLACKHOLE"
	unrecorded := good()
	unrecorded.Comment, unrecorded.Recorded = "", false
	for name, live := range map[string]Live{"innodb": good(), "partitioned": partitioned(7), "blackhole": blackhole, "unrecorded": unrecorded} {
		list, err := Validate(live, Against{Today: today})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if !f.OK || f.Warning != "" {
				t.Errorf("%s: %s %s", name, f, f.Warning)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	change := func(name string, f func(*Column)) func(*Live) {
		return func(l *Live) {
			c := l.Columns[name]
			f(&c)
			l.Columns[name] = c
		}
	}
	for _, c := range []struct {
		name    string
		damage  func(*Live)
		variant binjet.Variant
		finding string // its name
		fault   bool
		words   string // of its fix, or of its warning
	}{
		{"no table", func(l *Live) { l.Exists = false }, "", "table", true, "binjet schema up"},
		{"newer", func(l *Live) { l.Version = 2 }, "", "version", true, "a newer one"},
		{"older", func(l *Live) { l.Version = 0 }, "", "version", true, "binjet schema up"},
		{"no column", func(l *Live) { delete(l.Columns, "topic") }, "", "column topic", true,
			"ALTER TABLE `shop`.`outbox` ADD COLUMN topic VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;"},
		{"short", change("topic", func(c *Column) { c.Length = 64 }), "", "column topic", true, "MODIFY COLUMN topic VARCHAR(255)"},
		{"number", change("topic", func(c *Column) { c.Kind, c.Length, c.Collation = "int", 0, "" }), "", "column topic", true, "VARCHAR(255)"},
		{"number of a payload", change("payload", func(c *Column) { c.Kind, c.Length = "int", 0 }), "", "column payload", true, "LONGBLOB NOT NULL;"},
		{"long", change("id", func(c *Column) { c.Length = 255 }), "", "column id", false, ""},
		{"utf8mb3", change("message_key", func(c *Column) { c.Collation = "utf8mb3_bin" }), "", "column message_key", true, "utf8mb4"},
		{"latin1, where only ASCII is", change("id", func(c *Column) { c.Collation = "latin1_swedish_ci" }), "", "column id", false, "binjet makes it ascii_bin"},
		{"binary", change("id", func(c *Column) { c.Kind, c.Collation = "varbinary", "" }), "", "column id", false, "makes it text"},
		{"null", change("payload", func(c *Column) { c.Null, c.HasValue = true, true }), "", "column payload", true, "LONGBLOB NOT NULL"},
		{"not null", change("message_key", func(c *Column) { c.Null, c.HasValue = false, false }), "", "column message_key", true, "NULL;"},
		{"blob", change("payload", func(c *Column) { c.Kind, c.Length = "blob", 65535 }), "", "column payload", true, "MODIFY COLUMN payload LONGBLOB NOT NULL;"},
		{"json", change("payload", func(c *Column) { c.Kind, c.Length = "json", 0 }), "", "column payload", false, "text only"},
		{"no default", change("created_at", func(c *Column) { c.HasValue = false }), "", "column created_at", true, "DEFAULT CURRENT_TIMESTAMP(6);"},
		{"datetime", change("created_at", func(c *Column) { c.Kind = "datetime" }), "", "column created_at", false, "time zone"},
		{"whole seconds", change("created_at", func(c *Column) { c.Precision = 0 }), "", "column created_at", false, "0 digits"},
		{"more, without default", func(l *Live) { l.Columns["tenant"] = Column{Name: "Tenant"} }, "", "column Tenant", true, "DROP COLUMN `Tenant`"},
		{"more", func(l *Live) { l.Columns["tenant"] = Column{Name: "Tenant", HasValue: true} }, "", "other columns", false, ""},
		{"no key", func(l *Live) { l.Primary, l.Unique = nil, nil }, "", "primary key", true, "ADD PRIMARY KEY (id);"},
		{"another key", func(l *Live) { l.Primary, l.Unique = []string{"n"}, [][]string{{"n"}} }, "", "primary key", true, "DROP PRIMARY KEY, ADD PRIMARY KEY (id);"},
		{"a key beside it", func(l *Live) { l.Primary, l.Unique = []string{"n"}, [][]string{{"n"}, {"id"}} }, "", "primary key", false, "by another key"},
		{"the key of another variant", func(l *Live) { l.Primary, l.Unique = []string{"id", "created_at"}, [][]string{{"id", "created_at"}} }, "", "primary key", true, "(id);"},
		{"engine", func(l *Live) { l.Engine = "ROCKSDB" }, "", "engine", false, "binjet makes it InnoDB"},
		{"another variant's engine", func(l *Live) { l.Engine = "BLACKHOLE" }, binjet.InnoDB, "engine", true, "ENGINE=InnoDB;"},
		{"partitions of another variant", func(l *Live) { *l = partitioned(7) }, binjet.InnoDB, "partitions", true, "REMOVE PARTITIONING;"},
		{"to blackhole", func(*Live) {}, binjet.Blackhole, "engine", true, "ENGINE=BLACKHOLE;"},
		{"no partitions", func(*Live) {}, binjet.Partitioned, "partitions", true, "PARTITION BY RANGE"},
		{"no days", func(l *Live) { *l = partitioned(1) }, "", "partitions", false, "binjet schema up, or ALTER TABLE"},
		{"no days, nor a last partition", func(l *Live) { *l = partitioned(1); l.Partitions = l.Partitions[:1] }, "", "partitions", true, "ADD PARTITION"},
		{"foreign", func(l *Live) { l.Foreign = errors.New("by hash") }, "", "partitions", false, "by hash"},
	} {
		live := good()
		c.damage(&live)
		list, err := Validate(live, Against{Variant: c.variant, Today: today})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(f binlog.Finding) bool { return f.Name == c.finding })
		if i < 0 {
			t.Errorf("%s: no finding %s in %v", c.name, c.finding, list)
			continue
		}
		f := list[i]
		if f.OK == c.fault || c.fault && !strings.Contains(f.Fix, c.words) || !c.fault && (f.Warning == "") != (c.words == "") || !strings.Contains(f.Fix+f.Warning, c.words) {
			t.Errorf("%s: ok %v, %s, warning %q; want %q", c.name, f.OK, f, f.Warning, c.words)
		}
	}
}

// TestValidateByReader: what can't be read is said by the reader, and mended by our
// own definition.
func TestValidateByReader(t *testing.T) {
	found := OfReader([]binlog.Finding{
		{Name: "column shop.outbox.payload", Detail: "binary: BINARY loses trailing zeros", Fix: "…"},
		{Name: "table shop.outbox engine", Detail: "MyISAM is not transactional"},
		{Name: "table shop.outbox2 engine", Detail: "of another table"},
		{Name: "grant SELECT on shop.outbox", Detail: "of the account"},
	}, "shop.outbox")
	if len(found) != 2 {
		t.Fatalf("got %v", found)
	}
	list, err := Validate(good(), Against{Today: today, Reader: found})
	if err != nil {
		t.Fatal(err)
	}
	var faults []string
	for _, f := range list {
		if !f.OK {
			faults = append(faults, f.String())
		}
	}
	want := []string{"engine: MyISAM is not transactional (ALTER TABLE `shop`.`outbox` ENGINE=InnoDB;)",
		"column payload: binary: BINARY loses trailing zeros (ALTER TABLE `shop`.`outbox` MODIFY COLUMN payload LONGBLOB NOT NULL;)"}
	if !slices.Equal(faults, want) {
		t.Errorf("got %q", faults)
	}
	if mapped, err := Validate(good(), Against{Mapped: true, Reader: found}); err != nil || !slices.Equal(mapped, found) {
		t.Errorf("mapped: %v, %v", mapped, err)
	}
}

func TestExpected(t *testing.T) {
	list, err := expected()
	if err != nil {
		t.Fatal(err)
	}
	want := []definition{
		{"id", "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", "varchar", 64, "ascii_bin", false},
		{"topic", "VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", "varchar", 255, "ascii_bin", false},
		{"message_key", "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL", "varchar", 255, "utf8mb4_bin", true},
		{"headers", "LONGBLOB NULL", "longblob", 0, "", true},
		{"payload", "LONGBLOB NOT NULL", "longblob", 0, "", false},
		{"created_at", "TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)", "timestamp", 6, "", false},
	}
	if !slices.Equal(list, want) {
		t.Errorf("got %+v", list)
	}
}

// TestLacks: what a position has to hold for a table to be dropped.
func TestLacks(t *testing.T) {
	set := func(text string) checkpoint.GTIDSet {
		s, err := checkpoint.ParseGTIDSet(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	file := func(offset uint64) checkpoint.Position {
		return checkpoint.Position{Binlog: checkpoint.FilePosition{File: "binlog.000003", Offset: offset}}
	}
	end := checkpoint.Position{Resume: set(uuid + ":1-9")}
	for _, c := range []struct {
		name    string
		at, end checkpoint.Position
		want    string
	}{
		{"all", checkpoint.Position{Resume: set(uuid + ":1-9")}, end, ""},
		{"more", checkpoint.Position{Resume: set(uuid + ":1-12")}, end, ""},
		{"less", checkpoint.Position{Resume: set(uuid + ":1-8")}, end, "lacks " + uuid + ":9"},
		{"a gap", checkpoint.Position{Resume: set(uuid + ":1-3:5-9")}, end, "lacks " + uuid + ":4"},
		{"a snapshot", checkpoint.Position{Resume: set(uuid + ":1-9"), Snapshot: &checkpoint.Snapshot{Begun: true}}, end, "snapshot"},
		{"XA", checkpoint.Position{Resume: set(uuid + ":1-9"), XA: make([]checkpoint.XA, 2)}, end, "2 XA"},
		{"the same file", file(500), file(500), ""},
		{"before", file(499), file(500), "ends at binlog.000003:500"},
		{"another kind", file(500), end, "can't be compared"},
		{"and the other way round", checkpoint.Position{Resume: set(uuid + ":1-9")}, file(500), "can't be compared"},
		{"MariaDB", checkpoint.Position{Resume: set("0-1-8")}, checkpoint.Position{Resume: set("0-1-9")}, "lacks 0-1-9"},
		{"an empty server", checkpoint.Position{}, checkpoint.Position{}, ""},
	} {
		if got := lacks(c.at, c.end); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
