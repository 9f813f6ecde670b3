package consumer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer/inbox"
)

// Consumer hands the events of a stream to handlers. Add handlers, then call Run once.
type Consumer struct {
	js  jetstream.JetStream
	cfg Config
	log *slog.Logger

	mu      sync.Mutex
	started bool
	routes  []*route
	faults  []error
	bounded bool // MaxAckPending is the user's, not the default

	stopping chan struct{} // closed when Run hands back what has not run
	held     *tracker
	holding  atomic.Int64 // by lanes
	lanes    atomic.Pointer[lanes]
	ledger   *ledger
	breaker  *breaker
	returned *returned
	life     life
	gate     gate          // Pause closes it
	slots    chan struct{} // one for each handler that may run
	counts   counters
}

// ErrDrainTimeout is what Run returns when handlers were still running at
// DrainTimeout and had to be cancelled. Their messages are delivered again.
var ErrDrainTimeout = errors.New("handlers did not finish within DrainTimeout and were cancelled")

// New checks the config, all faults at once, and returns a consumer. It does not
// talk to the broker. js's connection should reconnect for ever
// (nats.MaxReconnects(-1)): a closed one ends Run.
func New(js jetstream.JetStream, cfg Config) (*Consumer, error) {
	if js == nil {
		return nil, errors.New("consumer config: the JetStream context is nil")
	}
	return newConsumer(js, cfg)
}

// newConsumer makes one without a broker when js is nil.
func newConsumer(js jetstream.JetStream, cfg Config) (*Consumer, error) {
	bounded := cfg.MaxAckPending != 0
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.TxInbox == nil {
		def, err := inbox.NewSQL(inbox.SQLConfig{})
		if err != nil {
			return nil, err
		}
		cfg.TxInbox = def
	}
	c := &Consumer{
		js:       js,
		cfg:      cfg,
		bounded:  bounded,
		log:      cfg.Logger.With(slog.String("consumer", cfg.Name), slog.String("stream", cfg.Stream)),
		stopping: make(chan struct{}),
		held:     newTracker(nil),
		ledger:   newLedger(cfg.MaxAckPending + cfg.capacity()),
	}
	if js != nil {
		c.held.nc, c.returned = js.Conn(), newReturned(c)
	}
	c.life.state = StateNew
	c.breaker = newBreaker(cfg.Breaker, c.policy(), c.ledger, c.log, cfg.Hooks.Breaker, c.othersFail)
	return c, nil
}

func (c *Consumer) policy() policy { return c.cfg.policy() }

// Handle adds a handler for the topics that fit the pattern: a topic, in which
// "*" stands for any one token and a last ">" for one or more. Its effects are
// at least once: duplicates are suppressed by Config.Inbox as far as that
// remembers. A bad pattern, and one that overlaps another, is reported by Run.
// It panics once Run has been called.
func (c *Consumer) Handle(topic string, h Handler, mw ...Middleware) {
	if h == nil {
		c.add(topic, route{})
		return
	}
	wrapped := chain(h, append(append([]Middleware(nil), c.cfg.Middleware...), mw...)...)
	c.add(topic, route{run: func(ctx context.Context, msg *Message) (bool, error) {
		return c.runPlain(ctx, wrapped, msg)
	}})
}

// TxHandler handles one message with effects in tx. It may neither commit nor
// roll back, and has to return the error of every statement it does not expect
// to fail: after a deadlock the transaction is gone.
type TxHandler func(ctx context.Context, tx *sql.Tx, msg *Message) error

// HandleTx adds a handler whose effects in db happen exactly once per message.
// For each message it begins a transaction, inserts into Config.TxInbox, runs h,
// and commits; then it acknowledges. A message that the inbox knows is
// acknowledged without a run. On any error, a panic, or a commit whose outcome is
// unknown, it rolls back and the message comes back after the backoff. Topics are
// as for Handle.
//
// db has to be the database of the inbox and of the effects. Anything else that
// h does (a mail, another database) happens at least once.
func (c *Consumer) HandleTx(topic string, db *sql.DB, h TxHandler, mw ...Middleware) {
	if h == nil || db == nil {
		c.add(topic, route{})
		return
	}
	wrapped := chain(func(ctx context.Context, msg *Message) error {
		tx, err := txFrom(ctx)
		if err != nil {
			return err
		}
		return h(ctx, tx, msg)
	}, append(append([]Middleware(nil), c.cfg.Middleware...), mw...)...)
	c.add(topic, route{db: db, run: func(ctx context.Context, msg *Message) (bool, error) {
		return c.runTx(ctx, db, wrapped, msg)
	}})
}

// add notes a route, or what is wrong with it.
func (c *Consumer) add(topic string, r route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started {
		panic("consumer: a handler was added after Run")
	}
	if err := checkPattern(topic); err != nil {
		c.faults = append(c.faults, err)
		return
	}
	if r.run == nil && r.batch == nil {
		c.faults = append(c.faults, fmt.Errorf("topic %q: the handler or its database is nil", topic))
		return
	}
	r.pattern, r.tokens = topic, strings.Split(topic, ".")
	for _, other := range c.routes {
		if overlap(r.tokens, other.tokens) {
			c.faults = append(c.faults, fmt.Errorf("topics %q and %q overlap: one message would have two handlers", other.pattern, topic))
		}
	}
	c.routes = append(c.routes, &r)
}

// route returns the handler for a topic, nil when there is none.
func (c *Consumer) route(topic string) *route {
	tokens := strings.Split(topic, ".")
	for _, r := range c.routes {
		if matches(r.tokens, tokens) {
			return r
		}
	}
	return nil
}

// begin lets Run be called once, with a sound set of handlers, and Try often.
func (c *Consumer) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started && c.js == nil {
		return nil // Try may be called again
	}
	if c.started {
		return errors.New("consumer: Run was called before: make a new Consumer")
	}
	if len(c.routes) == 0 && len(c.faults) == 0 {
		c.faults = append(c.faults, errors.New("there is no handler: call Handle or HandleTx before Run"))
	}
	c.makeRoom()
	if len(c.faults) > 0 {
		return fmt.Errorf("consumer: %w", errors.Join(c.faults...))
	}
	c.slots = make(chan struct{}, c.cfg.Concurrency)
	c.started = true
	return nil
}

// Stats returns what was counted so far, and what is held now.
func (c *Consumer) Stats() Stats {
	s := c.counts.stats()
	s.Held = c.held.count() + int(c.holding.Load())
	c.mu.Lock()
	s.Running = len(c.slots)
	c.mu.Unlock()
	if l := c.lanes.Load(); l != nil {
		s.Parked, s.Behind = l.waiting()
	}
	return s
}
