package outboxtable

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestOf(t *testing.T) {
	for at, want := range map[time.Time]string{
		noon: "p20260131",
		time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC):                          "p20260131",
		time.Date(2026, 1, 31, 23, 59, 59, 999_999_999, time.UTC):             "p20260131",
		time.Date(2026, 2, 1, 0, 30, 0, 0, time.FixedZone("UTC+1", 60*60)):    "p20260131",
		time.Date(2028, 2, 28, 20, 0, 0, 0, time.FixedZone("UTC-5", -5*3600)): "p20280229",
	} {
		p := Of(at)
		if p.Name != want || Name(at) != want {
			t.Errorf("%s: got %s and %s, want %s", at, p.Name, Name(at), want)
		}
		if !p.Before.After(at) || p.Before.Sub(at) > day {
			t.Errorf("%s: the bound %s is not the day's end", at, p.Before)
		}
	}
}

func TestParse(t *testing.T) {
	for _, want := range Days(noon, 3) {
		description := "MAXVALUE"
		if !want.IsCatchAll() {
			description = map[string]string{"p20260131": "1769904000", "p20260201": "1769990400", "p20260202": "1770076800"}[want.Name]
		}
		if got, err := Parse(want.Name, description); err != nil || got != want {
			t.Errorf("%s %s: got %+v, %v, want %+v", want.Name, description, got, err, want)
		}
	}
	if got, err := Parse("p1", "'2026-01-31'"); err == nil {
		t.Errorf("got %+v", got)
	}
}

func TestComing(t *testing.T) {
	all := Days(noon, 3)
	for _, c := range []struct {
		name  string
		have  []Partition
		today time.Time
		want  []string
	}{
		{"all there", all, noon, nil},
		{"a day later", all, noon.Add(day), []string{"p20260203"}},
		{"after a long pause", all, noon.Add(100 * day), []string{"p20260511", "p20260512", "p20260513"}},
		{"the clock went back", all, noon.Add(-2 * day), nil},
		{"the catch-all alone", all[3:], noon, []string{"p20260131", "p20260201", "p20260202"}},
	} {
		var got []string
		for _, p := range Coming(c.have, c.today, 3) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestExpired(t *testing.T) {
	all := Days(noon, 3)
	midnight := time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC)
	for cutoff, want := range map[time.Time]int{
		midnight: 2, midnight.Add(-time.Microsecond): 1, noon: 0, noon.Add(1000 * day): 3, // never the catch-all
	} {
		if got := Expired(all, cutoff); !slices.Equal(got, all[:want]) {
			t.Errorf("%s: got %v, want %d", cutoff, got, want)
		}
	}
}

func TestStatements(t *testing.T) {
	all := Days(noon, 2)
	for _, c := range []struct{ got, want string }{
		{Clause("`created_at`", all), "PARTITION BY RANGE (FLOOR(UNIX_TIMESTAMP(`created_at`))) (\n" +
			"  PARTITION `p20260131` VALUES LESS THAN (1769904000),\n" +
			"  PARTITION `p20260201` VALUES LESS THAN (1769990400),\n" +
			"  PARTITION `pmax` VALUES LESS THAN MAXVALUE\n)"},
		{Add("`a`.`b`", all, Coming(all, noon.Add(day), 2)), "ALTER TABLE `a`.`b` REORGANIZE PARTITION `pmax` INTO " +
			"(PARTITION `p20260202` VALUES LESS THAN (1770076800), PARTITION `pmax` VALUES LESS THAN MAXVALUE)"},
		{Add("`b`", all[:2], Coming(all, noon.Add(day), 2)), "ALTER TABLE `b` ADD PARTITION (PARTITION `p20260202` VALUES LESS THAN (1770076800))"},
		{Add("`b`", all, nil), ""},
		{Drop("`b`", all[:2]), "ALTER TABLE `b` DROP PARTITION `p20260131`, `p20260201`"},
		{Drop("`b`", nil), ""},
		{Drop("`b`", []Partition{{Name: "a`b"}}), "ALTER TABLE `b` DROP PARTITION `a``b`"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

func TestByDay(t *testing.T) {
	for expression, want := range map[string]bool{
		"floor(unix_timestamp(`created_at`))": true, "FLOOR(UNIX_TIMESTAMP(created_at))": true, "unix_timestamp(`a`)": true, "to_days(`created_at`)": false, "id": false, "": false,
	} {
		if byDay(expression) != want {
			t.Errorf("%q: want %v", expression, want)
		}
	}
}
