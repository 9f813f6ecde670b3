package prune

import (
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// idAt is a UUIDv7 of that time.
func idAt(at time.Time) any {
	id := firstOf(at, "x").(string)
	return id[:14] + "7" + id[15:]
}

func full(id any, created time.Time, old bool) []row {
	rows := make([]row, pageRows)
	for i := range rows {
		rows[i] = row{id: fmt.Sprintf("0%05d", i), created: created, old: old}
	}
	rows[pageRows-1].id = id
	return rows
}

// A walk over IDs that grow ends with the first page that has nothing old: it jumps
// over what is kept, and finds whatever has an ID of another kind behind it.
func TestWalkJumps(t *testing.T) {
	const keep = 24 * time.Hour
	w := walk{keep: keep, cutoff: noon}
	if old := w.take(full(idAt(noon.Add(-time.Hour)), noon.Add(-time.Hour), true)); len(old) != pageRows || w.after != idAt(noon.Add(-time.Hour)) {
		t.Fatalf("%d old rows, and after %v", len(old), w.after)
	}
	if w.take(full(idAt(noon.Add(30*time.Minute)), noon.Add(30*time.Minute), false)); w.after != idAt(noon.Add(30*time.Minute)) {
		t.Errorf("it jumped within the clocks' difference, to %v", w.after)
	}
	young := full(idAt(noon.Add(2*time.Hour)), noon.Add(2*time.Hour), false)
	young[7].old = true
	if w.take(young); w.after != idAt(noon.Add(2*time.Hour)) {
		t.Errorf("it jumped though a row was old, to %v", w.after)
	}
	if w.take(full(idAt(noon.Add(2*time.Hour)), noon.Add(2*time.Hour), false)); w.after != firstOf(noon.Add(keep+clockSkew), "x") {
		t.Errorf("it did not jump, but went to %v", w.after)
	}
	if !w.oldest.Equal(noon.Add(30 * time.Minute)) {
		t.Errorf("the oldest kept row is %s", w.oldest)
	}
	if w.take(full("order-4711", noon.Add(time.Hour), false)); w.after != "order-4711" || w.done {
		t.Errorf("IDs of another kind: after %v", w.after)
	}
	if old := w.take([]row{{id: "z", old: true}}); len(old) != 1 || !w.done {
		t.Errorf("%v, done %v", old, w.done)
	}
}

func TestMadeAt(t *testing.T) {
	for _, like := range []any{"0193a8c1-0000-7000-8000-000000000000", "0193A8C1-0000-7000-8000-00000000000A", []byte("0123456789abcdef")} {
		id := firstOf(noon, like)
		u7 := id
		switch v := id.(type) {
		case string:
			u7 = v[:14] + "7" + v[15:]
		case []byte:
			v = append([]byte(nil), v...)
			v[6] = 0x70
			u7 = v
		}
		if got, ok := madeAt(u7); !ok || !got.Equal(noon) {
			t.Errorf("%v: %s, %v", u7, got, ok)
		}
	}
	for _, id := range []any{"", "order-4711", "0193a8c1-0000-4000-8000-000000000000", "0193a8c1000070008000000000000000", []byte("short"), nil} {
		if at, ok := madeAt(id); ok {
			t.Errorf("%v was made at %s", id, at)
		}
	}
}
