package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/internal/runenv"
)

// errGoexit is how an attempt ends whose handler ended its goroutine.
var errGoexit = errors.New("the handler called runtime.Goexit, as testing's FailNow does")

// worker handles what it is given until nothing more comes.
func (e *engine) worker() {
	for d := e.dispatch.next(); d != nil; d = e.dispatch.next() {
		for d != nil {
			d = e.process(d)
		}
	}
}

// process takes one delivery to its end. A batch takes others along, and may
// meet one that does not go into it, which is what comes next.
func (e *engine) process(d *delivery) (next *delivery) {
	r, out := e.admit(d)
	switch {
	case r == nil:
		e.settle(d, out)
	case r.batch != nil:
		return e.batch(r, d)
	default:
		e.single(r, d)
	}
	return nil
}

// single runs the handler for one message.
func (e *engine) single(r *route, d *delivery) {
	finished := false
	defer func() {
		if !finished { // runtime.Goexit: this worker ends, another takes its place
			e.settle(d, e.policy().decide(errGoexit, d.msg.Attempt, false))
			e.workers.Go(e.worker)
		}
	}()
	out := e.try(r, d)
	finished = true
	e.settle(d, out)
}

// admit says which handler a delivery is for, or, when none should run now, how
// it ends without.
func (e *engine) admit(d *delivery) (*route, Outcome) {
	msg := d.msg
	if d.raw.Header.Get("Nats-Marker-Reason") != "" {
		return nil, Outcome{Kind: Ignored}
	}
	if d.err != nil {
		return nil, Outcome{Kind: DeadLettered, Err: d.err}
	}
	if msg.expired(time.Now()) {
		return nil, Outcome{Kind: Expired, Err: fmt.Errorf("its time of %s since it was published is over", msg.ExpireAfter)}
	}
	r := e.route(msg.Topic)
	if r == nil {
		return nil, e.policy().unknown(e.cfg.UnknownTopic, ErrNoHandler)
	}
	msg.Handler = r.pattern
	if wait := time.Until(msg.DeliverAt); wait > 0 {
		return nil, Outcome{Kind: Deferred, Err: fmt.Errorf("%w: %s", errHeldBack, msg.DeliverAt), Delay: wait}
	}
	msg.Attempt = e.dispatch.attempt(d)
	if e.policy().hopeless(msg.Attempt) {
		return nil, Outcome{Kind: DeadLettered, Err: fmt.Errorf("begun %d times, far above the limit of %d attempts: "+
			"its handler may be killing the process", msg.Attempt-1, e.cfg.MaxDeliver)}
	}
	return r, Outcome{}
}

// try runs the handler when its turn has come, and says what that means beside all
// other attempts.
func (e *engine) try(r *route, d *delivery) Outcome {
	turn, leave, ok := e.turn(runenv.From(e.context(d)).Stopping)
	if !ok {
		return Outcome{Kind: Deferred, Err: errNotRun, Delay: handBackDelay}
	}
	defer leave()
	return e.breaker.judge(d, turn, e.attempt(r, d))
}

// turn waits until a handler may run: for Resume, for the breaker, and until fewer than
// Concurrency run. It is not ok when the handler is not to begin any more.
func (e *engine) turn(stop <-chan struct{}) (p pass, leave func(), ok bool) {
	if !e.gate.pass(stop) {
		return p, nil, false
	}
	if p, ok = e.breaker.enter(stop); !ok {
		return p, nil, false
	}
	leave = func() { <-e.slots; e.breaker.leave(p) }
	select {
	case e.slots <- struct{}{}:
		return p, leave, true
	default:
	}
	select {
	case e.slots <- struct{}{}:
		return p, leave, true
	case <-stop:
		e.breaker.leave(p)
		return p, nil, false
	}
}

// attempt runs the handler once.
func (e *engine) attempt(r *route, d *delivery) Outcome {
	msg, ctx := d.msg, e.context(d)
	e.cfg.Hooks.start(msg)
	start := time.Now()
	own := e.cfg.Hooks.context(ctx, msg)
	out := Outcome{Kind: Retried, Err: errGoexit}
	defer func() { e.cfg.Hooks.ended(own, msg, out) }()
	duplicate, err := r.run(own, msg)
	if duplicate {
		out = Outcome{Kind: Duplicate}
		return out
	}
	e.logPanic(err, msg)
	out = e.policy().decide(err, msg.Attempt, ctx.Err() != nil) // a context of the hook may end by itself
	out.Took = time.Since(start)
	return out
}

// context is that of the delivery's handler.
func (e *engine) context(d *delivery) context.Context {
	if d.item != nil {
		return d.item.share.work
	}
	return e.work
}

func (e *engine) logPanic(err error, msg *Message) {
	var panicked *PanicError
	if errors.As(err, &panicked) {
		e.log.LogAttrs(e.work, slog.LevelError, "handler panicked",
			append(msg.attrs(), slog.Any("panic", panicked.Value), slog.String("stack", string(panicked.Stack)))...)
	}
}

// settle makes the outcome known: to the dead-letter stream first, then to the
// hooks, the dispatcher and the broker. It is called once for every delivery that
// next has returned.
func (e *engine) settle(d *delivery, out Outcome) {
	if out.Kind == DeadLettered {
		if err := e.dispatch.confirm(d); err != nil {
			out = Outcome{Kind: Deferred, Err: errors.Join(out.Err, err), Delay: e.cfg.Backoff.delay(1), Took: out.Took}
		} else if err := e.bury(d, out.Err); err != nil {
			e.log.LogAttrs(e.work, slog.LevelError, "could not write the dead letter; the message stays on the stream and is retried",
				append(d.msg.attrs(), slog.Any("error", err), slog.Any("reason", out.Err))...)
			out.Kind, out.Delay = Retried, e.cfg.Backoff.Max
			out.Err = errors.Join(out.Err, err)
		}
	}
	e.cfg.Hooks.beforeSettle(d.msg, out)
	switch out.Kind {
	case Deferred:
		e.ledger.deferred(d)
	case Retried:
		e.ledger.failed(d)
	default:
		e.ledger.forget(d)
	}
	if err := e.dispatch.conclude(d, out); err != nil {
		e.log.LogAttrs(e.work, slog.LevelWarn, "could not tell the broker; it delivers the message again",
			append(d.msg.attrs(), slog.String("outcome", out.Kind.String()), slog.Any("error", err))...)
	}
	e.counts[out.Kind].Add(1)
	if out.Kind == Retried || out.Kind == DeadLettered || errors.Is(out.Err, errBreakerOpen) {
		e.life.failed(deadletter.Reason(out.Err.Error()))
	}
	e.report(d.msg, out)
	e.cfg.Hooks.afterSettle(d.msg, out)
}

func (e *engine) report(msg *Message, out Outcome) {
	level := slog.LevelDebug
	switch {
	case out.Kind == Expired:
		level = slog.LevelInfo
	case out.Kind == Retried, out.Kind == Skipped, errors.Is(out.Err, errBreakerOpen):
		level = slog.LevelWarn
	case out.Kind == DeadLettered, errors.Is(out.Err, ErrNoHandler), errors.Is(out.Err, ErrUnknownType):
		level = slog.LevelError
	}
	if !e.log.Enabled(e.work, level) {
		return
	}
	attrs := append(msg.attrs(), slog.Duration("took", out.Took))
	if out.Err != nil {
		attrs = append(attrs, slog.Any("error", out.Err), slog.Duration("again_in", out.Delay))
	}
	e.log.LogAttrs(e.work, level, "message "+out.Kind.String(), attrs...)
}
