package consumer

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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
	// attempt is the number of the attempt that the delivery is when it runs.
	attempt(d *delivery) int
	// confirm reports why a message may not be given up by this process.
	confirm(d *delivery) error
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
	capacity int
	holds    atomic.Int64
	waiting  chan *delivery
	roomier  chan struct{} // has room for one: "there is less held than before"
}

// newQueue returns a queue that asks for so many messages.
func newQueue(e *engine, capacity int) *queue {
	return &queue{engine: e, capacity: capacity, waiting: make(chan *delivery, 2*capacity+64), roomier: make(chan struct{}, 1)}
}

func (q *queue) open(ctx context.Context) (streamName, durable string, err error) {
	stream, err := q.prepare(ctx)
	if err != nil {
		return "", "", err
	}
	_, err = stream.Consumer(ctx, q.cfg.Name)
	absent := errors.Is(err, jetstream.ErrConsumerNotFound)
	if err := q.ensureDurable(ctx, stream, q.durable()); err != nil {
		return "", "", err
	}
	if absent {
		err = q.refuseOrdered(ctx, stream)
	}
	return q.cfg.Stream, q.cfg.Name, err
}

// room asks once half of all places are free.
func (q *queue) room() int {
	free := q.capacity - int(q.holds.Load())
	if free < (q.capacity+1)/2 {
		return 0
	}
	return free
}

func (q *queue) freed() <-chan struct{} { return q.roomier }

// unbroken implements feed: what was sent and not received comes again.
func (q *queue) unbroken() bool { return false }

// accept puts a message into the queue; one too many is handed back.
func (q *queue) accept(in incoming) error {
	q.take(q.decoded(in.raw, in.meta.Sequence.Stream, in.meta.Timestamp), in)
	return nil
}

func (q *queue) take(d *delivery, in incoming) {
	d.at.stream, d.durable, d.delivered, d.msg.Attempt = in.stream, in.durable, in.meta.NumDelivered, int(in.meta.NumDelivered)
	q.cfg.Hooks.received(d.msg, d.delivered)
	q.held.add(d)
	q.holds.Add(1)
	select {
	case q.waiting <- d:
	default:
		q.settle(d, Outcome{Kind: Deferred, Err: errors.New("more came than was asked for"), Delay: handBackDelay})
	}
}

func (q *queue) confirm(*delivery) error { return nil }

func (q *queue) attempt(d *delivery) int {
	if !q.ledger.knows(d) { // another process had it
		q.returned.learn()
	}
	return q.ledger.attempt(d)
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

// conclude tells the broker. What is handed back without an attempt is written down
// before, unless the message itself says so.
func (q *queue) conclude(d *delivery, out Outcome) error {
	if out.Kind == Deferred && !d.noted && (d.delivered > 1 || !errors.Is(out.Err, errHeldBack)) {
		q.returned.note(int(q.replicas.Load()))
	}
	err := q.held.settle(d, verdict(out))
	q.holds.Add(-1)
	select {
	case q.roomier <- struct{}{}:
	default:
	}
	return err
}

// close writes down what it hands back at once.
func (q *queue) close() {
	var back []*delivery
	for len(q.waiting) > 0 {
		select {
		case d := <-q.waiting:
			if !q.ledger.knows(d) {
				q.returned.learn()
			}
			q.ledger.deferred(d)
			d.noted = true
			back = append(back, d)
		default: // a worker was faster
		}
	}
	if len(back) > 0 {
		q.returned.note(int(q.replicas.Load()))
	}
	for _, d := range back {
		q.settle(d, Outcome{Kind: Deferred, Err: errStopping, Delay: handBackDelay})
	}
	close(q.waiting)
}

// run implements source.
func (q *queue) run(ctx context.Context) error { return q.follow(ctx, q) }

// leave implements source.
func (q *queue) leave() {}
