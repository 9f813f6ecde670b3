package dashboard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/cmd/binjet/internal/status"
	"github.com/binjet/binjet/internal/deadletter"
)

// consumerRow is a consumer of the stream, and what of its lies among the dead letters.
type consumerRow struct {
	status.Consumer
	Dead    uint64
	Replays uint64 // dead letters put back for it, and not handled yet
}

// deadCounts are the dead letters by who gave them up.
type deadCounts struct {
	Exists  bool
	All     uint64
	Rows    uint64 // of them, rows that the relay of this source could not publish
	by      map[string]uint64
	replays map[string]uint64
}

// consumers lists the consumers of the stream by name.
func (s *stream) consumers(ctx context.Context, dead deadCounts) (rows []consumerRow, err error) {
	if err := s.connected(); err != nil {
		return nil, err
	}
	from, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", s.name, err)
	}
	found, err := status.Consumers(ctx, s.js, from)
	for _, c := range found {
		rows = append(rows, consumerRow{c, dead.by[c.Name], dead.replays[c.Name]})
	}
	slices.SortFunc(rows, func(a, b consumerRow) int { return strings.Compare(a.Name, b.Name) })
	return rows, err
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
