package admin

import (
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// pace is how fast this process publishes a snapshot.
type pace struct {
	began, last time.Time // of the first and the newest checkpoint of it
	from, rows  uint64
}

func (p *pace) committed(s *checkpoint.Snapshot, now time.Time) {
	switch {
	case s == nil || !s.Begun:
		*p = pace{}
	case p.began.IsZero() || s.Rows < p.from:
		*p = pace{began: now, last: now, from: s.Rows, rows: s.Rows}
	default:
		p.last, p.rows = now, s.Rows
	}
}

// rate is in rows per second, since the first checkpoint.
func (p *pace) rate() float64 {
	took := p.last.Sub(p.began).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(p.rows-p.from) / took
}
