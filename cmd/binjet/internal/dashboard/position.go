package dashboard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
)

// positionView is where the source was read to, and what it still has.
type positionView struct {
	Position  string
	Last      string // transaction with events
	Committed time.Time

	Server, Behind string
	Binlogs        *binlogsView
	Note           string // why there are no binlogs to be shown
	Error          string // why the source can't be asked
}

// binlogsView is the range of the binlogs, and the place in it that reading goes on from.
type binlogsView struct {
	Oldest, Needed, Newest string // Needed is "" where it is gone, or not known
	Files                  int
	Bytes                  uint64
	Keep, Left             time.Duration // Keep 0 is for ever; Left is how long the needed one is kept at least
	LeftKnown              bool
	// Where the needed file begins among the bytes of all, what is right of that, and
	// where the mark is drawn; in thousandths.
	At, Rest, Mark int
}

const surveyTimeout = 5 * time.Second

func (d *Dashboard) positionView(ctx context.Context) positionView {
	status, ok := d.Relay.Status()
	if !ok || status.Seq == 0 {
		return positionView{}
	}
	c := status.Checkpoint
	v := positionView{Position: c.Where()}
	if c.Last != nil {
		v.Last, v.Committed = c.Last.GTID.String(), c.Last.Committed
	}
	from := d.surveyor()
	if from == nil {
		return v
	}
	survey, err := d.survey.get(freshSurvey, func() (*binlog.Survey, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), surveyTimeout)
		defer cancel()
		return from.Survey(ctx, &c.Position)
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		v.Error = "it does not answer within " + surveyTimeout.String()
	case err != nil:
		v.Error = err.Error()
	default:
		v.describe(survey)
	}
	return v
}

func (v *positionView) describe(s *binlog.Survey) {
	name := map[checkpoint.Flavor]string{checkpoint.MySQL: "MySQL", checkpoint.MariaDB: "MariaDB"}[s.Flavor]
	v.Server = name + " " + s.Version
	v.Behind = whole(s.Behind) + " transactions of all tables"
	if !s.End.Binlog.IsZero() {
		v.Behind = size(s.BehindBytes) + " of all tables"
	}
	if s.LogsError != nil {
		v.Note = "The binlogs can't be listed: " + s.LogsError.Error()
		return
	}
	if len(s.Logs) == 0 {
		return
	}
	b := &binlogsView{Oldest: s.Logs[0].Name, Newest: s.Logs[len(s.Logs)-1].Name, Files: len(s.Logs), Keep: s.Keep}
	for _, l := range s.Logs {
		b.Bytes += l.Size
	}
	if v.Binlogs = b; s.Needed < 0 {
		v.Note = fmt.Sprintf("What follows the position is no longer in the binlogs, which begin with %s, or it is not known where it is. binjet check says more.", b.Oldest)
		return
	}
	b.Needed = s.Logs[s.Needed].Name
	b.Left, b.LeftKnown = s.Left()
	b.At = int(1000 * (b.Bytes - s.NeededBytes()) / max(b.Bytes, 1))
	b.Rest, b.Mark = 1000-b.At, min(b.At, 995)
}
