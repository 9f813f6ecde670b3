package dashboard

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
)

// fakeSource answers as a test says.
type fakeSource struct {
	survey binlog.Survey
	err    error
	asked  int
}

func (f *fakeSource) Survey(context.Context, *checkpoint.Position) (*binlog.Survey, error) {
	f.asked++
	return &f.survey, f.err
}

func TestPosition(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	logs := []binlog.Log{{Name: "bin.01", Size: 300}, {Name: "bin.02", Size: 600}, {Name: "bin.03", Size: 100, Begun: now.Add(-time.Hour)}}
	server := binlog.Server{Flavor: checkpoint.MySQL, Version: "9.7.4"}
	for name, test := range map[string]struct {
		source fakeSource
		want   []string
	}{
		"behind": {fakeSource{survey: binlog.Survey{Server: server, Now: now, Behind: 1234, Keep: 25 * time.Hour, Logs: logs, Needed: 1}},
			[]string{"MySQL 9.7.4", "1,234 transactions", "bin.01 to bin.03; reading goes on in bin.02", `x="300"`, "3 binlogs, 1000 B", "for 1 d 1 h", "another 1 d 0 h at least"}},
		"at the end": {fakeSource{survey: binlog.Survey{Server: server, Logs: logs, Needed: 2}}, []string{"for ever", "goes on in <span class=\"mono\">bin.03</span>."}},
		"gone":       {fakeSource{survey: binlog.Survey{Server: server, Logs: logs, Needed: -1}}, []string{"no longer in the binlogs, which begin with bin.01"}},
		"no right":   {fakeSource{survey: binlog.Survey{Server: server, LogsError: errors.New("access denied"), Needed: -1}}, []string{"be listed: access denied"}},
		"down":       {fakeSource{err: errors.New("connection refused")}, []string{"can't be asked for its binlogs: connection refused"}},
		"hangs":      {fakeSource{err: context.DeadlineExceeded}, []string{"does not answer within 5s"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.relay.status.Checkpoint.Last = &checkpoint.Last{Committed: now}
			w.relay.status.Checkpoint.Binlog = checkpoint.FilePosition{File: "bin.02", Offset: 4}
			w.page.AttachSource(&test.source)
			for range 3 {
				body := strings.ReplaceAll(w.wants("/", 200, "bin.02:4"), nbsp, " ")
				for _, want := range test.want {
					if !strings.Contains(body, want) {
						t.Errorf("no %q in:\n%s", want, body[strings.Index(body, "h-position"):])
					}
				}
			}
			if test.source.asked != 1 {
				t.Errorf("asked %d times for three pages", test.source.asked)
			}
		})
	}
}
