package dashboard

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/relay"
)

// Surveyor asks the source for its binlogs, and where in them a position is.
// *binlog.Reader is one.
type Surveyor interface {
	Survey(ctx context.Context, at *checkpoint.Position) (*binlog.Survey, error)
}

// Fragments of the pages that change while one looks. Each is a template.
const (
	fragmentStatus    = "status"
	fragmentCharts    = "charts"
	fragmentPosition  = "position"
	fragmentConsumers = "consumers"
	fragmentMessages  = "recent"
	fragmentDead      = "dead"
	fragmentProcesses = "processes"
)

func fragments() []string {
	return []string{fragmentStatus, fragmentCharts, fragmentDead, fragmentConsumers, fragmentMessages, fragmentPosition, fragmentProcesses}
}

// How old an answer may be that is shown.
const (
	freshCounts = time.Second
	freshSurvey = 30 * time.Second // MariaDB logs a line for each file that is looked into
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
	case fragmentProcesses:
		return d.processesView(ctx, true)
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
	Age           string // of the checkpoint; "" below a second
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
		if c.AgeSeconds >= 1 {
			v.Age = span(roundTo(c.AgeSeconds, 0.1))
		}
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

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request) {
	view := make(map[string]any)
	for _, name := range fragments() {
		if name == fragmentProcesses { // the page does not wait for them, but where there is no script to ask later
			view[name] = d.processesView(r.Context(), r.URL.Query().Has("ask"))
			continue
		}
		view[name] = d.fragment(r.Context(), name)
	}
	d.render(w, r, http.StatusOK, "overview", "Overview", view)
}
