package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/runenv"
)

// batch fills a batch that begins with first, takes it to its end, and returns
// the delivery that ended it and is not of it.
func (e *engine) batch(r *route, first *delivery) (next *delivery) {
	group, next := e.collect(r, first)
	for todo := distinct(group); len(todo) > 0; {
		again := e.runGroup(r, todo[0])
		todo = append(again, todo[1:]...)
	}
	return next
}

// collect takes what follows first for the same handler, until the batch is full,
// its time is over, or something comes that does not go into it.
func (e *engine) collect(r *route, first *delivery) (group []*delivery, next *delivery) {
	group = append(group, first)
	if alone(first) {
		return group, nil
	}
	opts, size := r.batch.opts, first.size()
	wait := time.NewTimer(opts.MaxWait)
	defer wait.Stop()
	for len(group) < opts.MaxMessages {
		d := e.dispatch.following(wait.C)
		if d == nil {
			return group, nil
		}
		to, out := e.admit(d)
		if to == nil { // it runs nothing, and so is no end of the batch
			e.settle(d, out)
			continue
		}
		if size += d.size(); to != r || alone(d) || size > opts.MaxBytes {
			return group, d
		}
		group = append(group, d)
	}
	return group, nil
}

// alone keeps a message that has failed before, or whose process died, away from
// others: it may be the reason.
func alone(d *delivery) bool { return d.msg.Attempt > 1 }

// size is what the message takes on the stream, about.
func (d *delivery) size() int { return d.raw.Size() - len(d.raw.Reply) }

// distinct parts a batch that has copies of one message: the first of each, then
// the second of each, … which the inbox knows by then, or which have their turn.
func distinct(group []*delivery) (groups [][]*delivery) {
	copies := make(map[string]int, len(group))
	for _, d := range group {
		n := copies[d.msg.ID]
		copies[d.msg.ID]++
		if n == len(groups) {
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], d)
	}
	return groups
}

// runGroup runs the handler once for all of the group, settles what that made
// certain, and returns the rest in parts that are to be run again.
func (e *engine) runGroup(r *route, group []*delivery) (again [][]*delivery) {
	ctx, done := e.together(group)
	defer done()
	turn, leave, ok := e.turn(runenv.From(ctx).Stopping)
	if !ok {
		e.settleAll(group, Outcome{Kind: Deferred, Err: errNotRun, Delay: handBackDelay})
		return nil
	}
	defer leave()
	if ctx.Err() != nil {
		e.settleAll(group, Outcome{Kind: Deferred, Err: errNotRun, Delay: handBackDelay})
		return nil
	}
	msgs := make([]*Message, len(group))
	for i, d := range group {
		msgs[i] = d.msg
		e.cfg.Hooks.start(d.msg)
	}
	start := time.Now()
	ends, err := e.runBatch(ctx, r, msgs)
	took := time.Since(start)
	var rest []*delivery
	for i, d := range group {
		if ends[i] == nil {
			rest = append(rest, d)
		}
	}
	for i, d := range group {
		switch {
		case ends[i] == nil:
		case errors.Is(ends[i], inbox.ErrDone):
			e.settle(d, Outcome{Kind: Duplicate})
		case len(rest) > 0: // the handler tells them from others: they are to blame themselves
			e.settle(d, e.end(ctx, d, ends[i], took))
		default:
			e.settle(d, e.breaker.judge(d, turn, e.end(ctx, d, ends[i], took)))
		}
	}
	switch {
	case len(rest) == 0:
		return nil
	case errors.Is(err, errWithout):
		return [][]*delivery{rest}
	case err != nil && len(rest) > 1:
		return e.part(ctx, rest, turn, err, took)
	}
	for _, d := range rest {
		e.settle(d, e.breaker.judge(d, turn, e.end(ctx, d, err, took)))
	}
	return nil
}

// runBatch runs the handler, and tells the hooks.
func (e *engine) runBatch(ctx context.Context, r *route, msgs []*Message) (ends []error, err error) {
	ctx = e.cfg.Hooks.batchContext(ctx, msgs)
	failed := errGoexit
	defer func() { e.cfg.Hooks.batchEnded(ctx, msgs, failed) }()
	ends, err = r.batch.run(ctx, msgs)
	failed = err
	for _, end := range ends {
		if failed == nil && !errors.Is(end, inbox.ErrDone) {
			failed = end
		}
	}
	return ends, err
}

// end is how a delivery ends whose attempt ended with err.
func (e *engine) end(ctx context.Context, d *delivery, err error, took time.Duration) Outcome {
	e.logPanic(err, d.msg)
	out := e.policy().decide(err, d.msg.Attempt, ctx.Err() != nil)
	out.Took = took
	return out
}

// part halves messages that failed together, so that the one that is to blame
// is found and its neighbours are handled. No error of several is a verdict about
// one: where nothing is to be run again now, all come back later.
func (e *engine) part(ctx context.Context, group []*delivery, turn pass, err error, took time.Duration) [][]*delivery {
	var later *retryError
	switch {
	case ctx.Err() != nil, errors.Is(err, errNotRun):
		e.settleAll(group, Outcome{Kind: Deferred, Err: err, Delay: handBackDelay, Took: took})
		return nil
	case errors.As(err, &later) && e.policy().decide(err, group[0].msg.Attempt, false).Kind == Retried:
		e.putOff(ctx, group, turn, err, took)
		return nil
	}
	e.breaker.inVain(group[0], turn, err)
	e.logPanic(err, group[0].msg)
	e.log.Warn("a batch failed as a whole and is run again in halves",
		slog.Int("messages", len(group)), slog.Uint64("first_sequence", group[0].msg.Sequence), slog.Any("error", err))
	half := (len(group) + 1) / 2
	return [][]*delivery{group[:half:half], group[half:]}
}

// putOff gives back a batch whose handler asked for that. To the breaker it is one failure.
func (e *engine) putOff(ctx context.Context, group []*delivery, turn pass, err error, took time.Duration) {
	first := e.breaker.judge(group[0], turn, e.end(ctx, group[0], err, took))
	for i, d := range group {
		out := first
		if i > 0 && first.Kind == Retried {
			out = e.end(ctx, d, err, took)
		}
		e.settle(d, out)
	}
}

func (e *engine) settleAll(group []*delivery, out Outcome) {
	for _, d := range group {
		e.settle(d, out)
	}
}
