package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/deadletter"
)

// consumerRow is a durable consumer of the stream, as the broker sees it.
type consumerRow struct {
	Name        string
	Subjects    string
	Pending     uint64 // not delivered yet
	AckPending  int    // delivered, and not acknowledged
	AckFloor    uint64 // all up to this sequence is acknowledged
	Redelivered int
	Delivered   time.Time // the last one
	Dead        uint64    // its dead letters
	Replays     uint64    // dead letters put back for it, and not handled yet
	Paused      bool
}

// deadCounts are the dead letters by who gave them up.
type deadCounts struct {
	Exists  bool
	All     uint64
	Rows    uint64 // of them, rows that the relay of this source could not publish
	by      map[string]uint64
	replays map[string]uint64
}

// consumers lists the durable consumers of the stream, with what of theirs lies among the dead letters.
func (s *stream) consumers(ctx context.Context, dead deadCounts) (rows []consumerRow, err error) {
	if err := s.connected(); err != nil {
		return nil, err
	}
	from, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", s.name, err)
	}
	list := from.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable == "" {
			continue
		}
		row := consumerRow{Name: info.Name, Pending: info.NumPending, AckPending: info.NumAckPending, AckFloor: info.AckFloor.Stream,
			Redelivered: info.NumRedelivered, Dead: dead.by[info.Name], Replays: dead.replays[info.Name], Paused: info.Paused,
			Subjects: cmp.Or(info.Config.FilterSubject, strings.Join(info.Config.FilterSubjects, ", "))}
		if info.Delivered.Last != nil {
			row.Delivered = *info.Delivered.Last
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b consumerRow) int { return strings.Compare(a.Name, b.Name) })
	return rows, list.Err()
}

// deadLetters counts them without reading one.
func (s *stream) deadLetters(ctx context.Context, source string) (d deadCounts, err error) {
	if err := s.connected(); err != nil {
		return d, err
	}
	d.by, d.replays = make(map[string]uint64), make(map[string]uint64)
	name := deadletter.Stream(s.name)
	from, err := s.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("look up stream %s: %w", name, err)
	}
	info, err := from.Info(ctx, jetstream.WithSubjectFilter(deadletter.Subject(s.name, "*", ">")))
	if err != nil {
		return d, fmt.Errorf("count the dead letters: %w", err)
	}
	d.Exists = true
	for subject, n := range info.State.Subjects {
		by, rest := deadletter.Parts(s.name, subject)
		if deadletter.IsReplay(s.name, subject) {
			name, _, _ := strings.Cut(rest, ".")
			d.replays[name] += n
			continue
		}
		d.by[by] += n
		d.All += n
	}
	d.Rows = d.by[source]
	return d, nil
}

// names are those who gave some up.
func (d deadCounts) names() []string { return slices.Sorted(maps.Keys(d.by)) }
