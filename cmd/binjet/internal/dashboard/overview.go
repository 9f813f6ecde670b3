package dashboard

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/relay"
)

// Surveyor asks the source for its binlogs, and where in them a position is.
type Surveyor func(ctx context.Context, at checkpoint.Position) (Survey, error)

// Survey is what the source has of what is still to be read, for people.
type Survey struct {
	Server string // "MySQL 9.7.4"
	// Behind is how much was committed since the position, in words.
	Behind string
	// Oldest, Needed and Newest are binlog files: the first that the server has, the one
	// that reading on begins in, and the one that is written. Needed is "" when it is gone.
	Oldest, Needed, Newest string
	Files                  int
	// Bytes are those of all files, Left those from Needed on.
	Bytes, Left uint64
	// Keep is how long the server keeps a file; 0 is for ever. Room is how long it keeps
	// the needed one at least; false when that is not known or it is the one that is written.
	Keep, Room time.Duration
	RoomKnown  bool
	// Missing says why there are no files to be shown, or what is lost.
	Missing string
}

// Fragments of the pages that change while one looks. Each is a template.
const (
	fragmentStatus    = "status"
	fragmentCharts    = "charts"
	fragmentPosition  = "position"
	fragmentConsumers = "consumers"
	fragmentMessages  = "recent"
	fragmentDead      = "dead"
)

func fragments() []string {
	return []string{fragmentStatus, fragmentCharts, fragmentDead, fragmentConsumers, fragmentMessages, fragmentPosition}
}

// How old an answer may be that is shown.
const (
	freshCounts = time.Second
	freshSurvey = 15 * time.Second
)

// fragment collects what a fragment shows.
func (d *Dashboard) fragment(ctx context.Context, name string) any {
	switch name {
	case fragmentStatus:
		return d.statusView()
	case fragmentCharts:
		status, _ := d.Relay.Status()
		return d.History.charts(status.Checkpoint.Flavor == checkpoint.MariaDB)
	case fragmentPosition:
		return d.positionView(ctx)
	case fragmentConsumers:
		rows, err := d.consumerRows(ctx)
		return rowsView[consumerRow]{rows, errorText(err)}
	case fragmentMessages:
		list, err := d.recentMessages(ctx)
		return rowsView[message]{list, errorText(err)}
	default:
		counts, err := d.deadCounts(ctx)
		return deadView{counts, errorText(err)}
	}
}

type (
	rowsView[T any] struct {
		Rows  []T
		Error string
	}
	deadView struct {
		Counts deadCounts
		Error  string
	}
)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (d *Dashboard) deadCounts(ctx context.Context) (deadCounts, error) {
	return d.dead.get(freshCounts, func() (deadCounts, error) {
		ctx, cancel := asking(ctx)
		defer cancel()
		return d.broker().deadLetters(ctx, d.Source)
	})
}

func (d *Dashboard) consumerRows(ctx context.Context) ([]consumerRow, error) {
	dead, err := d.deadCounts(ctx)
	if err != nil {
		return nil, err
	}
	return d.consumers.get(freshCounts, func() ([]consumerRow, error) {
		ctx, cancel := asking(ctx)
		defer cancel()
		return d.broker().consumers(ctx, dead)
	})
}

func (d *Dashboard) recentMessages(ctx context.Context) ([]message, error) {
	return d.messages.get(freshCounts, func() ([]message, error) {
		ctx, cancel := asking(ctx)
		defer cancel()
		return d.broker().recent(ctx, "", 0, recentRows)
	})
}

// asking bounds a question. Its answer is for all viewers, so it does not end with the one who asked.
func asking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
}

// statusView is the state in words.
type statusView struct {
	admin.Report
	Role, Say     string
	Class         string // ok, wait or bad
	Me            bool   // this process leads
	Since, Held   string // for how long it has the role, and the leader leads
	Age           string // of the checkpoint
	Lag, Rate     string
	Stream        string
	SnapshotShare int
}

func (d *Dashboard) statusView() statusView {
	v := statusView{Report: d.Relay.Report(false), Stream: d.Stream, Role: "starting", Class: "wait", Lag: "–"}
	if v.Report.Role != "" {
		v.Role = string(v.Report.Role)
	}
	switch {
	case v.Ready:
		v.Class = "ok"
	case v.Report.Role != "":
		v.Class = "bad"
	}
	v.Me = v.Report.Role == relay.Leader
	if v.Report.Since != nil {
		v.Since = ago(*v.Report.Since)
	}
	if v.LeaderSince != nil {
		v.Held = ago(*v.LeaderSince)
	}
	if c := v.Checkpoint; c != nil {
		v.Age = span(roundTo(c.AgeSeconds, 0.1))
		if c.Snapshot != nil {
			v.SnapshotShare = int(c.Snapshot.EstimatedPercent)
		}
	}
	if lag, ok := d.Relay.Lag(); ok {
		v.Lag = span(roundTo(lag.Seconds(), 0.001))
	}
	v.Say = v.Role + ", " + map[bool]string{true: "ready", false: "not ready: " + strings.Join(v.Reasons, "; ")}[v.Ready]
	return v
}

func ago(t time.Time) string { return span(time.Since(t).Truncate(time.Second).Seconds()) }

func roundTo(v, unit float64) float64 { return float64(int64(v/unit+0.5)) * unit }

// positionView is where the source was read to, and what it still has.
type positionView struct {
	Position, Last string
	Committed      time.Time
	Rows           int
	Survey         *Survey
	Error          string
	// Where the needed file begins among the bytes of all, what is right of that, and
	// where the mark is drawn; in thousandths.
	NeededAt, Rest, Mark int
}

func (d *Dashboard) positionView(ctx context.Context) positionView {
	status, ok := d.Relay.Status()
	if !ok || status.Seq == 0 {
		return positionView{}
	}
	c := status.Checkpoint
	v := positionView{Position: c.Where()}
	if c.Last != nil {
		v.Last, v.Committed, v.Rows = c.Last.GTID.String(), c.Last.Committed, c.Last.Rows
	}
	if d.Survey == nil {
		return v
	}
	survey, err := d.survey.get(freshSurvey, func() (Survey, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return d.Survey(ctx, c.Position)
	})
	if err != nil {
		v.Error = err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			v.Error = "the source does not answer within 5 seconds"
		}
		return v
	}
	v.Survey = &survey
	if survey.Bytes > 0 {
		v.NeededAt = int(1000 * (survey.Bytes - survey.Left) / survey.Bytes)
		v.Rest, v.Mark = 1000-v.NeededAt, min(v.NeededAt, 995)
	}
	return v
}

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request) {
	view := make(map[string]any)
	for _, name := range fragments() {
		view[name] = d.fragment(r.Context(), name)
	}
	d.render(w, r, http.StatusOK, "overview", "Overview", view)
}
