package status

import (
	"context"
	"errors"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// source asks the database server, twice for the rate.
func (c *collector) source(ctx context.Context, held *store.Held) {
	s := &c.report.Source
	var position *checkpoint.Position
	if held != nil {
		position = &held.Position
	}
	began := time.Now()
	v, err := c.Reader.Survey(ctx, position)
	if err != nil {
		s.Error = err.Error()
		return
	}
	s.Flavor, s.Version, s.Position = string(v.Flavor), v.Version, v.End.Where()
	s.Binlogs = binlogs(v)
	if position != nil && (position.Snapshot == nil || position.Snapshot.Begun) {
		c.lag(ctx, *position, v)
		c.readable(ctx, *position)
	}
	if !c.pause(ctx) {
		return
	}
	if again, err := c.Reader.Survey(ctx, nil); err == nil {
		if n, ok := advanced(v, again); ok {
			rate := float64(n) / time.Since(began).Seconds()
			s.TransactionsPerSecond = &rate
		}
	}
}

func binlogs(v *binlog.Survey) *Binlogs {
	b := &Binlogs{Files: len(v.Logs), KeptSeconds: v.Keep.Seconds()}
	if v.LogsError != nil {
		b.Error = v.LogsError.Error()
	}
	if len(v.Logs) == 0 {
		return b
	}
	b.First, b.Last = v.Logs[0].Name, v.Logs[len(v.Logs)-1].Name
	for _, l := range v.Logs {
		b.Bytes += l.Size
	}
	if v.Needed >= 0 {
		b.Needed, b.NeededFiles, b.NeededBytes = v.Logs[v.Needed].Name, len(v.Logs)-v.Needed, v.NeededBytes()
	}
	if left, ok := v.Left(); ok {
		seconds := left.Seconds()
		b.LeftSeconds = &seconds
	}
	return b
}

// lag is how far the end of the binlog is from the position. Its time is the age of
// the first transaction behind it, which is read for that.
func (c *collector) lag(ctx context.Context, p checkpoint.Position, v *binlog.Survey) {
	s := &c.report.Source
	if p.Binlog.IsZero() {
		s.LagTransactions = &v.Behind
	} else {
		s.LagBytes = &v.BehindBytes
	}
	seconds := 0.0
	if v.Behind+v.BehindBytes > 0 {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout/2)
		defer cancel()
		passage, err := c.Reader.Passage(ctx, p, v.End, func(tx *checkpoint.Transaction) bool { return !tx.Committed.IsZero() })
		if err != nil {
			s.LagError = err.Error()
			return
		}
		if !passage.First.IsZero() {
			seconds = max(0, v.Now.Sub(passage.First).Seconds())
		}
	}
	s.LagSeconds = &seconds
}

func (c *collector) readable(ctx context.Context, p checkpoint.Position) {
	s := &c.report.Source
	err := c.Reader.Verify(ctx, p)
	var halted *checkpoint.HaltError
	if err != nil && !errors.As(err, &halted) {
		return // it may pass: nothing is known
	}
	c.halted = halted
	ok := err == nil
	s.Readable = &ok
	if !ok {
		s.Unreadable = err.Error()
	}
}

// advanced is how many transactions were committed between two surveys.
func advanced(before, after *binlog.Survey) (n uint64, ok bool) {
	if !before.End.Binlog.IsZero() {
		return 0, false
	}
	added := after.Executed.Minus(before.Executed)
	if after.Flavor == checkpoint.MySQL {
		return added.Count(), true
	}
	for _, g := range added.Members() {
		was, _ := before.Executed.Domain(g.Domain)
		n += g.N - min(was.N, g.N)
	}
	return n, true
}
