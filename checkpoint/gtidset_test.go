package checkpoint

import (
	"strings"
	"testing"
)

const u = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
const v = "4e11fa47-71ca-11e1-9e33-c80aa9429562"

func set(t testing.TB, s string) GTIDSet {
	t.Helper()
	got, err := ParseGTIDSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestParseAndString(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		u + ":1-5":                          u + ":1-5",
		strings.ToUpper(u) + ":7":           u + ":7",
		u + ":1-3:4-5:9":                    u + ":1-5:9",
		u + ":9:1-3":                        u + ":1-3:9",
		v + ":1,\n " + u + ":2":             u + ":2," + v + ":1",
		u + ":1-3:blue:1-2:red:4":           u + ":1-3:blue:1-2:red:4",
		u + ":Blue:1-2," + u + ":5":         u + ":5:blue:1-2",
		"1-2-3,0-1-100":                     "0-1-100,1-2-3",
		"0-4294967295-18446744073709551615": "0-4294967295-18446744073709551615",
	} {
		if got := set(t, in).String(); got != want {
			t.Errorf("%q → %q, want %q", in, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{"x", u, u + ":", u + ":0", u + ":5-2", u + ":1-", "0-1", "0-1-x", "0-1-0", "0-1-2,0-2-3",
		"0-1-2," + u + ":1", u[1:] + ":1", u + ":1:-", "99999999999-1-1"} {
		if got, err := ParseGTIDSet(in); err == nil {
			t.Errorf("%q → %q, want an error", in, got)
		}
	}
}

func TestAddKeepsIntervalsJoined(t *testing.T) {
	s := set(t, u+":1-3:10-12:20")
	for _, step := range []struct {
		add  uint64
		want string
	}{
		{4, u + ":1-4:10-12:20"}, {13, u + ":1-4:10-13:20"}, {9, u + ":1-4:9-13:20"}, {11, u + ":1-4:9-13:20"},
		{6, u + ":1-4:6:9-13:20"}, {5, u + ":1-6:9-13:20"}, {21, u + ":1-6:9-13:20-21"}, {30, u + ":1-6:9-13:20-21:30"},
	} {
		g, _ := ParseGTID(u + ":1")
		g.N = step.add
		if s.Add(g); s.String() != step.want {
			t.Fatalf("after %d: %s, want %s", step.add, s, step.want)
		}
	}
	s.AddSet(set(t, u+":7-25,"+v+":1"))
	if want := u + ":1-25:30," + v + ":1"; s.String() != want {
		t.Fatalf("%s, want %s", s, want)
	}
}

func TestMinusAndContains(t *testing.T) {
	tests := []struct{ a, b, minus string }{
		{u + ":1-10", u + ":1-10", ""},
		{u + ":1-10", "", u + ":1-10"},
		{u + ":1-10", u + ":3-4:7", u + ":1-2:5-6:8-10"},
		{u + ":1-10", u + ":1-2:9-20", u + ":3-8"},
		{u + ":1-10", v + ":1-10", u + ":1-10"},
		{u + ":1-10", u + ":blue:1-10", u + ":1-10"},
		{"", u + ":1", ""},
		{"0-1-5", "0-1-5", ""},
		{"0-1-6", "0-1-5", "0-1-6"},
		{"0-1-6,1-1-1", "0-2-7", "1-1-1"},
	}
	for _, tt := range tests {
		a, b := set(t, tt.a), set(t, tt.b)
		if got := a.Minus(b).String(); got != tt.minus {
			t.Errorf("%q minus %q = %q, want %q", tt.a, tt.b, got, tt.minus)
		}
		if got := b.ContainsSet(a); got != (tt.minus == "") {
			t.Errorf("%q contains %q: %v", tt.b, tt.a, got)
		}
	}
}

func TestMariaDBFollowsTheBinlogsOrder(t *testing.T) {
	s := set(t, "0-1-10")
	g, _ := ParseGTID("0-2-7")
	s.Add(g)
	if s.String() != "0-2-7" {
		t.Fatalf("%s, want the transaction that came last", s)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	a := set(t, u+":1-3")
	b := a.Clone()
	g, _ := ParseGTID(u + ":4")
	b.Add(g)
	if a.String() != u+":1-3" || b.String() != u+":1-4" {
		t.Fatalf("a %s, b %s", a, b)
	}
}

// FuzzGTIDSet: what parses is written and read back as the same set.
func FuzzGTIDSet(f *testing.F) {
	for _, s := range []string{"", u + ":1-5:blue:3", "0-1-2,1-2-3", u + ":1-3:5," + v + ":1", ",,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseGTIDSet(text)
		if err != nil {
			return
		}
		again, err := ParseGTIDSet(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q → %q → %q, %v", text, s, again, err)
		}
		if !s.ContainsSet(again) || !again.Minus(s).IsEmpty() {
			t.Fatalf("%q is not equal to itself", s)
		}
	})
}

func TestAhead(t *testing.T) {
	const uuid = "01020300-0000-0000-0000-000000000000"
	for name, test := range map[string]struct {
		s, other string
		want     uint64
	}{
		"MySQL":                {uuid + ":1-10", uuid + ":1-4:6", 5},
		"MySQL, level":         {uuid + ":1-10", uuid + ":1-10", 0},
		"MariaDB":              {"0-1-100,1-1-7", "0-2-90", 17},
		"MariaDB, other ahead": {"0-1-100", "0-1-120", 0},
		"nothing":              {"", "0-1-120", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := set(t, test.s).Ahead(set(t, test.other)); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}
