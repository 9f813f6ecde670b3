package main

import (
	"fmt"
	"strings"
)

// event is one event as it was found in a table or on the stream.
type event struct {
	ID      string
	Key     string // the order
	Version int    // counted under the order's row lock, so it is the order of the commits
}

// evidence is what was found when everything had come to rest.
type evidence struct {
	Committed  []string // what the writers were told is committed
	RolledBack []string // and rolled back
	Outbox     []event  // rows of the outbox table
	Stream     []event  // messages of the stream, in its order
	History    []event  // rows of the history, in the order they were inserted
}

// verdict is what [judge] found.
type verdict struct {
	Committed, Published, Handled int
	Lost                          int // committed events that are missing on the stream or in the history
	Duplicates                    int // further copies of an event, on either
	OutOfOrder                    int // events behind a later version of their order, on either
	Faults                        []string
}

func (v verdict) ok() bool {
	return len(v.Faults) == 0 && v.Committed > 0 && v.Committed == v.Published && v.Committed == v.Handled &&
		v.Lost == 0 && v.Duplicates == 0 && v.OutOfOrder == 0
}

func (v verdict) String() string {
	return fmt.Sprintf("demo: committed=%d published=%d handled=%d lost=%d duplicates=%d out_of_order=%d",
		v.Committed, v.Published, v.Handled, v.Lost, v.Duplicates, v.OutOfOrder)
}

// judge compares the outbox table with what the writers know, and then the stream
// and the history with the outbox table. It trusts no counter of anybody.
func judge(e evidence) verdict {
	v := verdict{Committed: len(e.Outbox), Published: len(e.Stream), Handled: len(e.History)}
	truth := make(map[string]event, len(e.Outbox))
	for _, row := range e.Outbox {
		truth[row.ID] = row
	}
	rolledBack := setOf(e.RolledBack)
	v.judgeTable(e, truth, rolledBack)
	onStream := v.judgePlace("on the stream", e.Stream, truth, rolledBack)
	inHistory := v.judgePlace("in the history", e.History, truth, rolledBack)
	for id := range truth {
		if !onStream[id] || !inHistory[id] {
			v.Lost++
		}
	}
	return v
}

// judgeTable: the table has what the writers committed and nothing else, and the
// versions of every order are 1, 2, 3, … so that they can be a measure of order.
func (v *verdict) judgeTable(e evidence, truth map[string]event, rolledBack map[string]bool) {
	for _, id := range e.Committed {
		if _, there := truth[id]; !there {
			v.fault("event %s was committed and is not in the outbox table", id)
		}
	}
	if len(truth) != len(setOf(e.Committed)) {
		v.fault("the outbox table has %d events, the writers committed %d", len(truth), len(e.Committed))
	}
	count, highest := map[string]int{}, map[string]int{}
	for id, row := range truth {
		if rolledBack[id] {
			v.fault("event %s was rolled back and is in the outbox table", id)
		}
		count[row.Key]++
		highest[row.Key] = max(highest[row.Key], row.Version)
	}
	for key, n := range count {
		if highest[key] != n {
			v.fault("%s has %d events in the outbox table, but version %d", key, n, highest[key])
		}
	}
}

// judgePlace returns which committed events are in found, and counts what is
// there too often, too late or without any right.
func (v *verdict) judgePlace(where string, found []event, truth map[string]event, rolledBack map[string]bool) map[string]bool {
	seen := make(map[string]bool, len(found))
	latest := make(map[string]int)
	for _, ev := range found {
		want, committed := truth[ev.ID]
		switch {
		case seen[ev.ID]:
			v.Duplicates++
			continue
		case rolledBack[ev.ID]:
			v.fault("event %s was rolled back and is %s", ev.ID, where)
		case !committed:
			v.fault("event %q is %s and nobody committed it", ev.ID, where)
		case ev != want:
			v.fault("event %s is version %d of %s in the outbox table and version %d of %s %s",
				ev.ID, want.Version, want.Key, ev.Version, ev.Key, where)
		}
		seen[ev.ID] = true
		if ev.Version <= latest[ev.Key] {
			v.OutOfOrder++
		}
		latest[ev.Key] = max(latest[ev.Key], ev.Version)
	}
	return seen
}

func (v *verdict) fault(format string, args ...any) {
	v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
}

// report is for people: the faults, but not thousands of them.
func (v verdict) report(rolledBack int) string {
	if v.ok() {
		return fmt.Sprintf("Each of the %s committed events is on the stream once and in the history once, those of an\n"+
			"order in the order of their commits. None of the %s that were rolled back is anywhere.", thousands(v.Committed), thousands(rolledBack))
	}
	if len(v.Faults) == 0 {
		return "The promise is BROKEN, as the numbers below say."
	}
	const shown = 10
	lines := append([]string{"The promise is BROKEN, by the numbers below and:"}, v.Faults[:min(shown, len(v.Faults))]...)
	if more := len(v.Faults) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d faults more", more))
	}
	return strings.Join(lines, "\n  ")
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}
