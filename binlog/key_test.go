package binlog

import (
	"slices"
	"testing"
	"time"
)

func TestCompareTo(t *testing.T) {
	at := time.Date(2026, 1, 31, 13, 0, 0, 7000, time.FixedZone("UTC+1", 3600))
	mapping := newMapping(Config{}.withDefaults())
	names := []string{"id", "created_at"}
	s := &shape{layout: newLayout(&mapping, table{"shop", "outbox"}, names, make([]columnType, len(names)))}
	const text = "2026-01-31 12:00:00.000007"
	for _, c := range []struct {
		timed    bool
		operator string
		at       time.Time
		want     string
		args     []any
	}{
		{false, ">", at, "`id` > ?", []any{"m"}},
		{true, ">", time.Time{}, "`id` > ?", []any{"m"}}, // all rows of the ID are done
		{true, ">", at, "(`id` > ? OR `id` = ? AND `created_at` > ?)", []any{"m", "m", text}},
		{true, "<=", at, "(`id` < ? OR `id` = ? AND `created_at` <= ?)", []any{"m", "m", text}},
	} {
		s.timed = c.timed
		if got, args := s.compareTo(c.operator, place{"m", c.at}); got != c.want || !slices.Equal(args, c.args) {
			t.Errorf("%v %s: got %s %v", c.timed, c.operator, got, args)
		}
	}
	s.timed = true
	for in, want := range map[string]time.Time{"2026-01-31 12:00:00.000007": at, "2026-01-31 12:00:00": at.Truncate(time.Second), "0000-00-00 00:00:00.000000": beforeAll} {
		if got := s.placeTime(in); !got.Equal(want) {
			t.Errorf("%s: got %s", in, got)
		}
	}
}

func TestKeyOfRow(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 7000, time.UTC)
	if keyOfRow("a", at, false) != keyOfRow("a", at.Add(time.Second), false) {
		t.Error("rows of one unique ID differ")
	}
	if keyOfRow("a", at, true) == keyOfRow("a", at.Add(time.Microsecond), true) {
		t.Error("rows of two times are one")
	}
}
