package binlog

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// progressEvery is how often a snapshot says how far it is.
const progressEvery = 10 * time.Second

// pace tells the progress of a snapshot since it was taken up.
type pace struct {
	log      *slog.Logger
	began    time.Time
	from     uint64 // rows that were published before
	reported time.Time
}

func newPace(log *slog.Logger, from uint64, now time.Time) *pace {
	return &pace{log: log, began: now, from: from, reported: now}
}

// report logs the progress when it is time to.
func (p *pace) report(s checkpoint.Snapshot, now time.Time) {
	if now.Sub(p.reported) < progressEvery {
		return
	}
	p.reported = now
	attrs := []any{"table", s.Table, "after", s.After, "rows", s.Rows,
		"rows_per_second", uint64(float64(s.Rows-p.from) / now.Sub(p.began).Seconds())}
	if share, ok := s.Share(); ok {
		attrs = append(attrs, "estimated_rows", s.Estimate, "estimated_percent", int(100*share))
	}
	p.log.Info("the snapshot goes on", attrs...)
}

// estimate is about how many rows the outbox tables hold; 0 when the server does
// not say. It is for people only.
func (s *stream) estimate(ctx context.Context) (rows uint64) {
	c, err := s.connect(ctx)
	if err != nil {
		return 0
	}
	defer c.close()
	if s.srv.Flavor == checkpoint.MySQL { // it keeps such numbers for a day
		if _, err := c.rows("SET SESSION information_schema_stats_expiry=0"); err != nil {
			return 0
		}
	}
	for _, t := range s.tables.list {
		row, err := c.row(fmt.Sprintf("SELECT COALESCE(SUM(TABLE_ROWS),0) FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s'", t.schema, t.name))
		if err != nil {
			return 0
		}
		n, err := strconv.ParseUint(row[0], 10, 64)
		if err != nil {
			return 0
		}
		rows += n
	}
	return rows
}
