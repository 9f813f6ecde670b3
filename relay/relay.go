package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/pause"
)

// Relay publishes one source to one stream. Any number of them may run with the
// same source name, in as many processes: one leads, the others stand by.
type Relay struct {
	cfg   Config
	js    jetstream.JetStream
	store *store.Store
	log   *slog.Logger

	copies chan store.Copy // newest checkpoint for the bucket

	maxMsgSize atomic.Int64 // the stream's; 0 for none
	single     atomic.Bool  // one server keeps the stream: see lone
	backlog    backlog
	spares     spares

	mu     sync.Mutex
	status Status
	epoch  uint64 // the highest seen
	seen   bool   // a checkpoint was seen, so there must be one

	replaced time.Time // when the checkpoint was written that was taken over from; of Run's goroutine
}

// Status is what a relay is doing, for health checks and people.
type Status struct {
	Role  Role      `json:"role"`
	Since time.Time `json:"since"`
	// Leader is the instance that wrote the newest checkpoint known, Seq its
	// sequence in the stream.
	Leader     string                `json:"leader"`
	Seq        uint64                `json:"seq"`
	Checkpoint checkpoint.Checkpoint `json:"checkpoint"`
	// Stored is when this relay last saw the stream accept or hold a new checkpoint.
	Stored time.Time `json:"stored"`
	// Events counts what this relay published since it started.
	Events uint64 `json:"events"`
	// Trouble is why the last commit had no OK, why the checkpoint can't be read, or
	// why this relay can't take over. Empty once that goes well again, or another one leads.
	Trouble string `json:"trouble,omitempty"`
}

// New checks the configuration, all faults at once. It asks nobody anything.
func New(cfg Config) (*Relay, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("relay configuration: %w", err)
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return &Relay{
		cfg: cfg, js: js, log: cfg.Logger.With(slog.String("source", cfg.Name)),
		store:  store.New(cfg.Conn, cfg.Stream, cfg.Name),
		copies: make(chan store.Copy, 1),
		spares: newSpares(),
		status: Status{Role: Standby, Since: time.Now()},
	}, nil
}

// Instance is the name of this relay in checkpoints and logs: [Config.Instance] and a
// random part.
func (r *Relay) Instance() string { return r.cfg.Instance }

// Status returns a copy of the current state. It is safe to call at any time.
func (r *Relay) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Run stands by, leads, and stands by again until ctx ends, which is a clean
// stop: what is in flight is settled, the checkpoint is released, nil is
// returned. An error that [errors.As] a *[checkpoint.HaltError] needs an operator;
// any other may be tried again. [nats.ErrConnectionClosed] is one of these: the connection
// is closed for good, and a new Relay needs another one. Run may be called once.
func (r *Relay) Run(ctx context.Context) error {
	ctx, stop := whileOpen(ctx, r.cfg.Conn)
	defer stop()
	err := r.run(ctx)
	if closed := closedError(ctx, r.cfg.Conn); closed != nil {
		return closed
	}
	return err
}

func (r *Relay) run(ctx context.Context) error {
	if err := r.ensure(ctx); err != nil {
		return err
	}
	pub, err := newPublisher(r.cfg.Conn, r.store.Subject(), r.cfg.CommitTimeout)
	if err != nil {
		return err
	}
	defer pub.close()
	defer r.setRole(Stopped)

	copied := make(chan struct{})
	stopCopying := make(chan struct{})
	go func() { defer close(copied); r.copyLoop(stopCopying) }()
	defer func() { close(stopCopying); <-copied }()

	for failures := 0; ctx.Err() == nil; {
		led, err := r.term(ctx, pub)
		if err == nil || led {
			failures = 0
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		var halt *checkpoint.HaltError
		if errors.As(err, &halt) || led {
			return err
		}
		r.notLeading(failures, err)
		_ = pause.For(ctx, backoff(failures))
		failures++
	}
	return nil
}

// notLeading logs why a take-over could not be tried: first, and then rarely.
func (r *Relay) notLeading(failures int, err error) {
	r.trouble(err.Error())
	if failures%20 == 0 {
		r.log.Warn("can't take over; trying again", slog.Any("error", err))
	}
}

// trouble notes what goes wrong; "" that it no longer does.
func (r *Relay) trouble(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Trouble = text
}

// term is one turn: stand by, take over, lead. A nil error means: stand by
// again. led says that the error ended a turn as leader.
func (r *Relay) term(ctx context.Context, pub *publisher) (led bool, err error) {
	held, err := r.standBy(ctx)
	if err != nil {
		return false, err
	}
	mine, err := r.takeOver(ctx, pub, held)
	if err == nil {
		led = true
		r.setRole(Leader)
		err = r.lead(ctx, pub, mine)
		r.setRole(Standby)
	}
	var older *olderError
	var torn *tornError
	switch {
	case r.handedOver(ctx, err):
		return led, nil
	case errors.As(err, &torn):
		r.log.Warn("the broker stored a batch in part; taking over from the checkpoint before it", slog.Any("cause", err))
		return led, nil
	case errors.Is(err, checkpoint.ErrRestart):
		r.log.Warn("reading the source anew from the checkpoint", slog.Any("cause", err))
		return led, nil
	case errors.Is(err, errUnrouted):
		r.log.Warn("the stream does not take this source's subjects; looking at its configuration", slog.Any("cause", err))
		return false, r.rejoin(ctx)
	case errors.Is(err, errDeposed):
		r.log.Warn("another relay leads; standing by", slog.Any("cause", err))
		return led, nil
	case errors.As(err, &older):
		r.log.Warn("the stream holds less than it had acknowledged; taking over from what it holds", slog.Any("cause", err))
		return led, nil
	}
	return led, err
}

func (r *Relay) setRole(role Role) {
	r.mu.Lock()
	changed := r.status.Role != role
	if changed {
		r.status.Role, r.status.Since = role, time.Now()
	}
	r.mu.Unlock()
	if changed && r.cfg.Hooks.Role != nil {
		r.cfg.Hooks.Role(role)
	}
}

// observe notes a checkpoint that the stream holds.
func (r *Relay) observe(held store.Held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = true
	r.epoch = max(r.epoch, held.Epoch)
	if r.status.Seq != held.Seq || r.status.Checkpoint.Nonce != held.Nonce {
		r.status.Stored = time.Now()
		r.status.Trouble = "" // somebody leads: us, or one that we stand by for
	}
	r.status.Leader, r.status.Seq, r.status.Checkpoint = held.Instance, held.Seq, held.Checkpoint
}

// committed notes a checkpoint of ours that the stream now holds.
func (r *Relay) committed(held store.Held, b *batch, took time.Duration) {
	r.observe(held)
	r.mu.Lock()
	r.status.Events += uint64(len(b.msgs))
	r.mu.Unlock()
	r.offerCopy(held)
	if r.cfg.Hooks.Committed != nil {
		r.cfg.Hooks.Committed(Commit{Events: len(b.msgs), Bytes: b.bytes, Oldest: b.oldest, Parts: b.parts,
			Duration: took, Seq: held.Seq, Checkpoint: held.Checkpoint})
	}
}

// publishedAlone notes an event that the stream now holds behind the checkpoint held,
// the last one of a number.
func (r *Relay) publishedAlone(held store.Held, w *write, seq uint64, number int, took time.Duration) {
	r.mu.Lock()
	r.status.Events++
	r.mu.Unlock()
	if r.cfg.Hooks.Committed == nil {
		return
	}
	c, b := held.Checkpoint, w.batch
	c.Position = b.pos
	c.Count += uint64(number)
	r.cfg.Hooks.Committed(Commit{Alone: true, Events: 1, Bytes: b.bytes, Oldest: b.oldest, Parts: b.parts, Duration: took, Seq: seq, Checkpoint: c})
}

func (r *Relay) settled(v verdict, cause error) {
	text := string(v)
	if cause != nil {
		text = cause.Error()
	}
	r.trouble(text)
	r.log.Warn("a commit had no OK; asked the stream", slog.String("found", string(v)), slog.Any("cause", cause))
	if r.cfg.Hooks.Settled != nil {
		r.cfg.Hooks.Settled(string(v), cause)
	}
}

func (r *Relay) encoder() encoder {
	return encoder{source: r.cfg.Name, prefix: r.cfg.SubjectPrefix, partitions: r.cfg.Partitions, maxPayload: r.maxEvent, spares: r.spares}
}
