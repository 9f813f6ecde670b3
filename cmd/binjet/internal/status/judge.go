package status

import (
	"cmp"
	"fmt"
	"time"

	"github.com/binjet/binjet/relay"
)

// What is a warning, beside what is a problem.
const (
	xaPatience     = time.Minute     // an XA transaction undecided for longer
	copyPatience   = time.Minute     // a copy older than that, while there is a leader
	binlogPatience = 4 * time.Hour   // a needed binlog that is kept for less
	fullAt         = 0.9             // of a stream's limit
	crashPatience  = 3               // owners of a share that died in a row
	stuckPatience  = 5 * time.Minute // a consumer that has work and did nothing for longer
)

// judge says what wants attention. Only problems make the status unhealthy: what
// keeps events from being published, or soon will.
func (c *collector) judge() {
	c.judgeSource()
	c.judgeRelay()
	c.judgeProcesses()
	c.judgeStream()
	c.judgeConsumers()
	c.report.Healthy = len(c.report.Problems) == 0
}

func (c *collector) problem(next, format string, args ...any) {
	c.report.Problems = append(c.report.Problems, Finding{fmt.Sprintf(format, args...), next})
}

func (c *collector) warn(next, format string, args ...any) {
	c.report.Warnings = append(c.report.Warnings, Finding{fmt.Sprintf(format, args...), next})
}

func (c *collector) judgeSource() {
	s := &c.report.Source
	switch {
	case s.Error != "":
		c.problem("binjet check says more", "the source can't be asked: %s", s.Error)
		return
	case c.halted != nil:
		c.problem(c.halted.Hint, "the source can't be read on from the position: %s", c.halted.Problem)
	}
	if lag := s.LagSeconds; lag != nil && c.MaxLag > 0 && *lag > c.MaxLag.Seconds() {
		c.problem("see who leads, and its log", "the stream is %s behind the source", seconds(*lag))
	}
	if b := s.Binlogs; b != nil && b.LeftSeconds != nil && *b.LeftSeconds < binlogPatience.Seconds() {
		what := "is kept for " + seconds(*b.LeftSeconds) + " more"
		if *b.LeftSeconds <= 0 {
			what = "may be purged now"
		}
		c.problem("let the relay catch up, or raise binlog_expire_logs_seconds", "binlog %s has still to be read and %s", b.Needed, what)
	}
}

func (c *collector) judgeRelay() {
	r := &c.report.Relay
	switch {
	case c.report.Stream.Error != "":
		return // said with the stream
	case r.Error != "":
		c.problem("", "the checkpoint can't be read: %s", r.Error)
		return
	case !r.Exists:
		c.problem("start binjet run", "there is no checkpoint: no relay has run for source %s", c.Source)
		return
	case r.Released:
		c.problem("start binjet run", "nobody leads: %s released the checkpoint %s ago", r.Leader, c.ago(r.Written))
	case !r.Alive:
		c.problem("see the log of that process, or start binjet run", "nobody leads: %s was silent for %s", r.Leader, c.ago(r.Written))
	}
	for _, x := range r.XA {
		if age := time.Duration(x.AgeSeconds * float64(time.Second)); x.Rows > 0 && age > xaPatience {
			c.warn("commit it or roll it back: XA RECOVER lists it", "XA transaction %s with %d outbox rows is undecided for %s, and keeps its binlog needed", x.XID, x.Rows, seconds(x.AgeSeconds))
		}
	}
	switch k := r.Copies; {
	case k == nil:
	case k.Error != "":
		c.warn("binjet init creates the bucket", "the checkpoint copies can't be read: %s", k.Error)
	case r.Alive && k.Kept == 0 && c.report.At.Sub(r.Since) > copyPatience:
		c.warn("see the relay's log", "there is no checkpoint copy: a lost stream would be healed from there")
	case r.Alive && k.Kept > 0 && k.AgeSeconds > copyPatience.Seconds():
		c.warn("see the relay's log", "the newest checkpoint copy is %s old: a lost stream would be healed from there", seconds(k.AgeSeconds))
	}
}

// judgeProcesses: a standby that can't take over is none, and nobody would notice.
func (c *collector) judgeProcesses() {
	for _, one := range c.report.Relay.Processes {
		why, ok := one.CouldLead()
		switch {
		case ok:
		case one.Role == relay.Standby:
			c.warn("see its log, and what differs on its host: binjet check there says more", "standby %s could not take over: %s", one.Instance, why)
		case one.Role == relay.Leader && one.Source != nil && !one.Source.OK:
			c.warn("see its log, and what differs on its host: binjet check there says more", "the leader %s can't read the source: %s", one.Instance, why)
		}
	}
}

func (c *collector) judgeStream() {
	s := &c.report.Stream
	switch {
	case s.Missing:
		c.problem("binjet init creates it; where it was there before, see who deleted it first", "there is no stream %s", s.Name)
		return
	case s.Error != "":
		c.problem(cmp.Or(c.ConnNext, "binjet check says more"), "stream %s can't be asked: %s", s.Name, s.Error)
		return
	}
	if s.MaxBytes > 0 && float64(s.Bytes) > fullAt*float64(s.MaxBytes) {
		c.warn("raise max_bytes, or see that consumers are not behind", "stream %s holds %s of its %s, and then lets its oldest events go", s.Name, bytes(s.Bytes), bytes(uint64(s.MaxBytes)))
	}
	if s.MaxMessages > 0 && float64(s.Messages) > fullAt*float64(s.MaxMessages) {
		c.warn("raise max_msgs, or see that consumers are not behind", "stream %s holds %d of its %d messages, and then lets its oldest events go", s.Name, s.Messages, s.MaxMessages)
	}
	if len(s.Lagging) > 0 {
		c.warn("see the broker's log", "replicas of stream %s are not current: %v", s.Name, s.Lagging)
	}
	if d := c.report.DeadLetters; d.Count > 0 {
		c.warn("binjet dlq list", "%d dead letters", d.Count)
	}
}

func (c *collector) judgeConsumers() {
	for _, one := range c.report.Consumers {
		idle := one.LastActive.IsZero() || c.report.At.Sub(one.LastActive) > stuckPatience
		switch {
		case one.Pending+one.Unacked > 0 && one.Waiting == 0 && idle:
			c.warn("start it, or see its log", "consumer %s has %d events to handle and does not ask for any", one.Name, one.Pending+one.Unacked)
		case one.Ordered:
			for _, share := range one.Order.Shares {
				if share.Crashes >= crashPatience {
					c.warn("see the logs of its processes; the event kills them", "consumer %s: %d processes in a row died at sequence %d", one.Name, share.Crashes, share.Floor)
				}
			}
		}
	}
}

func (c *collector) ago(t time.Time) string { return seconds(c.report.At.Sub(t).Seconds()) }
