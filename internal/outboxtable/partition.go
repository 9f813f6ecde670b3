package outboxtable

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CatchAll is the name of the last partition, which takes what no day takes.
const CatchAll = "pmax"

const (
	day      = 24 * time.Hour
	nameForm = "p20060102"
)

// Partition is one of a table that is partitioned by day.
type Partition struct {
	Name string
	// Before is the bound of its rows' created_at; zero for the [CatchAll].
	Before time.Time
}

// Name is the name of a day's partition.
func Name(at time.Time) string { return midnight(at).Format(nameForm) }

// Of is the partition of the day that at lies in.
func Of(at time.Time) Partition {
	return Partition{Name: Name(at), Before: midnight(at).Add(day)}
}

// Parse reads a partition as information_schema.PARTITIONS describes it. Its bound
// counts, and a partition of another name is one as well.
func Parse(name, description string) (Partition, error) {
	if strings.EqualFold(description, "MAXVALUE") {
		return Partition{Name: name}, nil
	}
	seconds, err := strconv.ParseInt(description, 10, 64)
	if err != nil {
		return Partition{}, fmt.Errorf("partition %s: bound %q is no number of seconds since 1970", name, description)
	}
	return Partition{Name: name, Before: time.Unix(seconds, 0).UTC()}, nil
}

// IsCatchAll reports whether it has no bound.
func (p Partition) IsCatchAll() bool { return p.Before.IsZero() }

// Days are the partitions of n days from the one that at lies in, and the catch-all.
func Days(at time.Time, n int) []Partition {
	list := make([]Partition, 0, n+1)
	for i := range n {
		list = append(list, Of(midnight(at).Add(time.Duration(i)*day)))
	}
	return append(list, Partition{Name: CatchAll})
}

// Coming are the days that have lacks of the n from today on. Days before today
// are none of them: should they have been missed, their rows share today's
// partition. have is in the order of the bounds, as [Load] returns it.
func Coming(have []Partition, today time.Time, n int) []Partition {
	var list []Partition
	for _, p := range Days(today, n) {
		if !p.IsCatchAll() && p.Before.After(last(have)) {
			list = append(list, p)
		}
	}
	return list
}

// last is the greatest bound; zero without any.
func last(list []Partition) (bound time.Time) {
	for _, p := range list {
		if p.Before.After(bound) {
			bound = p.Before
		}
	}
	return bound
}

// Expired are the partitions all of whose rows are older than cutoff, judged by
// their created_at alone: whether they are published is another question. The
// catch-all never is one of them.
func Expired(have []Partition, cutoff time.Time) []Partition {
	var list []Partition
	for _, p := range have {
		if !p.IsCatchAll() && !p.Before.After(cutoff) {
			list = append(list, p)
		}
	}
	return list
}

func midnight(at time.Time) time.Time { return at.UTC().Truncate(day) }
