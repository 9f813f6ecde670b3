package main

import (
	"slices"
	"strings"
	"testing"
)

// sound is evidence that nothing is wrong with; each test spoils it.
func sound() evidence {
	a1, b1, a2 := event{"id1", "a", 1}, event{"id2", "b", 1}, event{"id3", "a", 2}
	return evidence{
		Committed:  []string{"id1", "id2", "id3"},
		RolledBack: []string{"no1"},
		Outbox:     []event{a2, b1, a1}, // a table has no order
		Stream:     []event{a1, b1, a2},
		History:    []event{b1, a1, a2}, // between orders there is none to keep
	}
}

func TestJudge(t *testing.T) {
	const clean = "demo: committed=3 published=3 handled=3 lost=0 duplicates=0 out_of_order=0"
	tests := map[string]struct {
		spoil func(*evidence)
		want  string
		fault string // part of the only fault; "" is none
	}{
		"sound": {func(*evidence) {}, clean, ""},
		"lost on the stream": {func(e *evidence) { e.Stream = e.Stream[:2] },
			"demo: committed=3 published=2 handled=3 lost=1 duplicates=0 out_of_order=0", ""},
		"lost in the history": {func(e *evidence) { e.History = e.History[1:] },
			"demo: committed=3 published=3 handled=2 lost=1 duplicates=0 out_of_order=0", ""},
		"lost in both counts once": {func(e *evidence) { e.Stream, e.History = e.Stream[1:], []event{e.Stream[1], e.Stream[2]} },
			"demo: committed=3 published=2 handled=2 lost=1 duplicates=0 out_of_order=0", ""},
		"twice on the stream": {func(e *evidence) { e.Stream = append(e.Stream, e.Stream[0]) },
			"demo: committed=3 published=4 handled=3 lost=0 duplicates=1 out_of_order=0", ""},
		"handled twice": {func(e *evidence) { e.History = append(e.History, e.History[2]) },
			"demo: committed=3 published=3 handled=4 lost=0 duplicates=1 out_of_order=0", ""},
		"one lost and another twice": {func(e *evidence) { e.Stream[1] = e.Stream[0] },
			"demo: committed=3 published=3 handled=3 lost=1 duplicates=1 out_of_order=0", ""},
		"stream out of order": {func(e *evidence) { e.Stream[0], e.Stream[2] = e.Stream[2], e.Stream[0] },
			"demo: committed=3 published=3 handled=3 lost=0 duplicates=0 out_of_order=1", ""},
		"handled out of order": {func(e *evidence) { e.History[1], e.History[2] = e.History[2], e.History[1] },
			"demo: committed=3 published=3 handled=3 lost=0 duplicates=0 out_of_order=1", ""},
		"rolled back and on the stream": {func(e *evidence) { e.Stream = append(e.Stream, event{"no1", "b", 2}) },
			"demo: committed=3 published=4 handled=3 lost=0 duplicates=0 out_of_order=0", "no1 was rolled back and is on the stream"},
		"of nobody": {func(e *evidence) { e.Stream[1].ID = "x" },
			"demo: committed=3 published=3 handled=3 lost=1 duplicates=0 out_of_order=0", `"x" is on the stream and nobody committed it`},
		"another content": {func(e *evidence) { e.History[0].Version = 7 }, clean, "version 7 of b in the history"},
		"rolled back and in the table": {func(e *evidence) { e.RolledBack = []string{"id2"}; e.Committed = []string{"id1", "id3", "other"} },
			clean, "other was committed and is not in the outbox table"},
		"versions with a gap": {func(e *evidence) {
			for _, list := range [][]event{e.Outbox, e.Stream, e.History} {
				list[slices.Index(list, event{"id3", "a", 2})].Version = 3
			}
		}, clean, "a has 2 events in the outbox table, but version 3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := sound()
			tt.spoil(&e)
			v := judge(e)
			if v.String() != tt.want {
				t.Errorf("%s, want %s", v, tt.want)
			}
			if ok := name == "sound"; v.ok() != ok {
				t.Errorf("ok is %t, faults %q", v.ok(), v.Faults)
			}
			faults := strings.Join(v.Faults, "\n")
			if tt.fault == "" && faults != "" || !strings.Contains(faults, tt.fault) {
				t.Errorf("faults %q, want one with %q", faults, tt.fault)
			}
		})
	}
}

// A demo in which nothing happened has proven nothing.
func TestJudgeNothing(t *testing.T) {
	if v := judge(evidence{}); v.ok() {
		t.Errorf("%s is ok", v)
	}
}

func TestReport(t *testing.T) {
	v := judge(sound())
	if got := v.report(12345); !strings.Contains(got, "Each of the 3 committed") || !strings.Contains(got, "12,345") {
		t.Error(got)
	}
	for range 12 {
		v.fault("x")
	}
	if got := v.report(0); !strings.Contains(got, "BROKEN") || !strings.Contains(got, "2 faults more") {
		t.Error(got)
	}
}
