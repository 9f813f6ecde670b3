package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/runenv"
)

// NewOffline returns a consumer without a broker, for tests: its handlers get
// what is given to [Consumer.Try]. Everything else is as it is under Run: routing,
// inboxes, middleware, batches, and what an error means. There is no breaker.
// Config.Name may be left empty. Package consumertest has it ready for use.
func NewOffline(cfg Config) (*Consumer, error) {
	setDefault(&cfg.Name, "offline")
	cfg.Ordered, cfg.Concurrency, cfg.Breaker.Disabled = Unordered, 1, true
	return newConsumer(nil, cfg)
}

// Try hands messages to the handlers, in their order and as far as possible in
// the same batches, and returns how each ended, by place. What was Retried is not
// tried again: give it once more with the next Attempt. A dead letter is written
// nowhere. The handlers get copies of the messages.
//
// It fails when there are faults in the handlers, as Run does, and for a consumer
// that was made by [New]. It may be called again, and concurrently.
func (c *Consumer) Try(ctx context.Context, msgs ...*Message) ([]Outcome, error) {
	if c.js != nil {
		return nil, errors.New("consumer: Try is for consumers made by NewOffline")
	}
	if err := c.begin(); err != nil {
		return nil, err
	}
	env := runenv.Env{Codecs: c.cfg.Codecs, Stopping: c.stopping}
	o := &offline{places: make(map[*delivery]int, len(msgs)), outcomes: make([]Outcome, len(msgs))}
	e := &engine{Consumer: c, work: runenv.With(ctx, env), dispatch: o}
	for i, msg := range msgs {
		d := &delivery{raw: &nats.Msg{Subject: msg.Subject, Data: msg.Payload, Header: nats.Header{}}}
		own := *msg
		own.Attempt = max(own.Attempt, 1)
		d.msg, d.delivered, d.err = &own, uint64(own.Attempt), undecodable(&own)
		o.places[d] = i
		o.queue = append(o.queue, d)
	}
	e.workers.Go(e.worker)
	e.workers.Wait()
	return o.outcomes, nil
}

// offline is the dispatcher of one Try.
type offline struct {
	mu       sync.Mutex
	queue    []*delivery
	places   map[*delivery]int
	outcomes []Outcome
}

func (o *offline) next() *delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil
	}
	d := o.queue[0]
	o.queue = o.queue[1:]
	return d
}

func (o *offline) following(<-chan time.Time) *delivery { return o.next() }

func (o *offline) attempt(d *delivery) int { return d.msg.Attempt }

func (o *offline) confirm(*delivery) error { return nil }

func (o *offline) conclude(d *delivery, out Outcome) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcomes[o.places[d]] = out
	return nil
}

func (o *offline) close() {}
