package consumer

import (
	"context"
	"errors"
	"time"
)

// dispatcher stands between sessions, which receive, and workers, which handle:
// it says which delivery runs next, and what becomes of one that has run. Every
// delivery that next returns is given to engine.settle once, by the worker or by
// whoever it handed the delivery to.
type dispatcher interface {
	// next waits for a delivery that may run now; nil says that there is none and
	// none will come.
	next() *delivery
	// following is next for a worker that fills a batch: it waits until over fires at
	// the longest, and is nil then, and when Run ends. What the worker holds has not
	// run yet, so nothing may be returned that has to wait for the end of that.
	following(over <-chan time.Time) *delivery
	// conclude tells the broker how a delivery ended, and makes room.
	conclude(d *delivery, out Outcome) error
	// close hands back what no worker has taken. Nothing is accepted any more.
	close()
}

// errStopping is why what did not run is handed back.
var errStopping = errors.New("the consumer is stopping")

// queue is the dispatcher without order: one durable consumer that all processes
// of the name share, first come, first served. It is the durable's feed as well.
type queue struct {
	*engine
	waiting chan *delivery
	roomier chan struct{} // has room for one: "there is less held than before"
}

func newQueue(e *engine) *queue {
	return &queue{e, make(chan *delivery, 2*e.cfg.capacity()+64), make(chan struct{}, 1)}
}

func (q *queue) open(ctx context.Context) (streamName, durable string, err error) {
	stream, err := q.prepare(ctx)
	if err != nil {
		return "", "", err
	}
	return q.cfg.Stream, q.cfg.Name, q.ensureDurable(ctx, stream, q.durable())
}

// room asks once half of all places are free.
func (q *queue) room() int {
	free := q.cfg.capacity() - q.held.count()
	if free < (q.cfg.capacity()+1)/2 {
		return 0
	}
	return free
}

func (q *queue) freed() <-chan struct{} { return q.roomier }

// accept puts a message into the queue; one too many is handed back.
func (q *queue) accept(d *delivery) {
	q.held.add(d)
	select {
	case q.waiting <- d:
	default:
		q.settle(d, Outcome{Kind: Deferred, Err: errors.New("more came than was asked for"), Delay: handBackDelay})
	}
}

func (q *queue) next() *delivery { return <-q.waiting }

// following takes what is there, and only then waits.
func (q *queue) following(over <-chan time.Time) *delivery {
	select {
	case <-q.stopping: // the rest is handed back
		return nil
	case d := <-q.waiting:
		return d
	default:
	}
	select {
	case <-q.stopping:
		return nil
	case d := <-q.waiting:
		return d
	case <-over:
		return nil
	}
}

func (q *queue) conclude(d *delivery, out Outcome) error {
	err := q.held.settle(d, verdict(out))
	select {
	case q.roomier <- struct{}{}:
	default:
	}
	return err
}

func (q *queue) close() {
	for {
		select {
		case d := <-q.waiting:
			q.settle(d, Outcome{Kind: Deferred, Err: errStopping, Delay: handBackDelay})
		default:
			close(q.waiting)
			return
		}
	}
}
