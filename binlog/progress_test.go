package binlog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

func TestSnapshotPace(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	p := newPace(slog.New(slog.NewTextHandler(&out, nil)), 500, now)
	s := checkpoint.Snapshot{Table: "shop.outbox", After: "m", Rows: 1500, Estimate: 6000}
	p.report(s, now.Add(progressEvery-1))
	if out.Len() > 0 {
		t.Errorf("too early: %s", &out)
	}
	p.report(s, now.Add(progressEvery))
	p.report(s, now.Add(progressEvery+1))
	for _, word := range []string{"rows=1500", "rows_per_second=100", "estimated_percent=25", "after=m"} {
		if strings.Count(out.String(), word) != 1 {
			t.Errorf("%s is not once in %s", word, &out)
		}
	}
}
