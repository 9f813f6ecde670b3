package prune

import (
	"testing"

	"github.com/binjet/binjet/checkpoint"
)

func set(t *testing.T, text string) checkpoint.GTIDSet {
	t.Helper()
	s, err := checkpoint.ParseGTIDSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(t *testing.T, text string) (p checkpoint.FilePosition) {
	t.Helper()
	if text == "" {
		return p
	}
	p, err := checkpoint.ParseFilePosition(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const a, b = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"

func TestLacksOnMySQL(t *testing.T) {
	for _, c := range []struct{ holds, published, want string }{
		{a + ":1-9", a + ":1-9", ""},
		{a + ":1-9", a + ":1-20", ""},
		{a + ":1-9", a + ":1-8", a + ":9"},
		{a + ":1-9," + b + ":1", a + ":1-99", b + ":1"},
		{a + ":1-9:tag:1", a + ":1-9", a + ":tag:1"},
		{a + ":1-9", "", a + ":1-9"},
	} {
		h := Horizon{Flavor: checkpoint.MySQL, GTIDs: set(t, c.holds)}
		p := checkpoint.Position{Flavor: checkpoint.MySQL, Resume: set(t, c.published)}
		if got := h.Lacks(p); got != c.want {
			t.Errorf("%s published, the server holds %s: lacks %q, want %q", c.published, c.holds, got, c.want)
		}
		p.Snapshot = new(checkpoint.Snapshot)
		if h.Lacks(p) == "" {
			t.Error("a snapshot is not finished")
		}
		p = checkpoint.Position{Flavor: checkpoint.MariaDB, Resume: set(t, "0-1-100")}
		if h.Lacks(p) == "" {
			t.Error("a position of MariaDB covers MySQL")
		}
	}
}

func TestLacksOnMariaDB(t *testing.T) {
	for name, c := range map[string]struct {
		at, published, want string
		state               []string
	}{
		"the same":               {"0-1-9", "0-1-9", "", []string{"0-1-9"}},
		"behind it":              {"0-1-9", "0-1-10", "", []string{"0-1-9"}},
		"before it":              {"0-1-9", "0-1-8", "0-1-9", []string{"0-1-9"}},
		"another server's later": {"0-1-9", "0-2-10", "", []string{"0-1-9"}},
		"another server's equal": {"0-1-9", "0-2-9", "0-1-9", []string{"0-1-9"}},
		"a number that went back is not covered by a greater one": {"0-2-50", "0-1-100", "0-2-50", []string{"0-1-100", "0-2-50"}},
		"but by itself":         {"0-2-50", "0-2-50", "", []string{"0-1-100", "0-2-50"}},
		"and by one above all":  {"0-2-50", "0-1-101", "", []string{"0-1-100", "0-2-50"}},
		"a domain is missing":   {"0-1-9,1-1-3", "0-1-9", "1-1-3", []string{"0-1-9", "1-1-3"}},
		"a domain is too much":  {"0-1-9", "0-1-9,1-1-3", "", []string{"0-1-9"}},
		"nothing was committed": {"", "", "", nil},
	} {
		h := Horizon{Flavor: checkpoint.MariaDB, GTIDs: set(t, c.at)}
		for _, text := range c.state {
			g, err := checkpoint.ParseGTID(text)
			if err != nil {
				t.Fatal(err)
			}
			h.States = append(h.States, g)
		}
		if got := h.Lacks(checkpoint.Position{Flavor: checkpoint.MariaDB, Resume: set(t, c.published)}); got != c.want {
			t.Errorf("%s: lacks %q, want %q", name, got, c.want)
		}
	}
}

func TestLacksByFile(t *testing.T) {
	for _, c := range []struct{ end, published, uuid, want string }{
		{"binlog.000007:100", "binlog.000007:100", a, ""},
		{"binlog.000007:100", "binlog.000007:101", a, ""},
		{"binlog.000007:100", "binlog.000007:99", a, "binlog.000007:100"},
		{"binlog.000007:100", "binlog.000008:4", a, ""},
		{"binlog.000007:100", "binlog.000006:9999", a, "binlog.000007:100"},
		{"binlog.000007:100", "other.000008:4", a, "binlog.000007:100"},
		{"binlog.000007:100", "binlog.000008:4", b, "everything: binlog.000008:4 is a position of server " + b + ", and this one is " + a},
		{"binlog.000007:100", "", a, "the same kind of position: one is of GTIDs, the other file:offset"},
		{"", "binlog.000007:100", a, "the same kind of position: one is of GTIDs, the other file:offset"},
	} {
		h := Horizon{Flavor: checkpoint.MySQL, File: file(t, c.end), UUID: a}
		p := checkpoint.Position{Flavor: checkpoint.MySQL, ServerUUID: c.uuid, Binlog: file(t, c.published)}
		if got := h.Lacks(p); got != c.want {
			t.Errorf("%s published, the binlog ends at %s: lacks %q, want %q", c.published, c.end, got, c.want)
		}
	}
}

func TestRevokes(t *testing.T) {
	gtids := func(text string) Horizon { return Horizon{GTIDs: set(t, text), settled: set(t, text)} }
	at := func(text string) Horizon { return Horizon{File: file(t, text), UUID: a} }
	rolledBack := gtids(a + ":1-5")
	rolledBack.GTIDs = set(t, a+":1-6")
	for name, c := range map[string]struct {
		before, now Horizon
		want        bool
	}{
		"more":                  {gtids(a + ":1-5"), gtids(a + ":1-6"), false},
		"reset":                 {gtids(a + ":1-5"), gtids(a + ":1-2"), true},
		"an owned one vanished": {rolledBack, gtids(a + ":1-5"), false},
		"a later offset":        {at("binlog.000002:5"), at("binlog.000002:6"), false},
		"an earlier offset":     {at("binlog.000002:5"), at("binlog.000002:4"), true},
		"a later file":          {at("binlog.000002:5"), at("binlog.000003:4"), false},
		"an earlier file":       {at("binlog.000002:5"), at("binlog.000001:900"), true},
		"the kind changed":      {at("binlog.000002:5"), gtids(a + ":1"), false},
	} {
		if got := c.now.revokes(c.before); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestParseOwned(t *testing.T) {
	for text, want := range map[string]string{
		"": "", a + ":5#34": a + ":5", a + ":5#34:7#35,\n" + b + ":1#2": a + ":5:7," + b + ":1", a + ":tag:5#1": a + ":tag:5",
	} {
		if got, err := parseOwned(text); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	if _, err := parseOwned("what"); err == nil {
		t.Error("no error")
	}
}
