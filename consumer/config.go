package consumer

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer/inbox"
)

// Defaults of [Config].
const (
	DefaultConcurrency   = 1
	DefaultAckWait       = 30 * time.Second
	DefaultMaxDeliver    = 10
	DefaultMaxAckPending = 1000
	DefaultBackoffMin    = 500 * time.Millisecond
	DefaultBackoffMax    = time.Minute
	DefaultDrainTimeout  = 30 * time.Second
	DefaultFailures      = 10
	DefaultProbeMin      = time.Second
	DefaultProbeMax      = 30 * time.Second
)

// NoLimit for Config.MaxDeliver retries for ever and never writes a dead letter
// because of the number of attempts.
const NoLimit = -1

// Config configures a [Consumer]. Only Name is required.
type Config struct {
	// Stream is the stream to consume. It has to exist. Default: OUTBOX.
	Stream string
	// Name is the durable consumer's name on the broker and what inboxes know
	// this consumer by. Processes with the same name share the work. A new name
	// starts over at DeliverPolicy. One token: letters, digits, '-', '_'.
	// Danger: renaming a consumer makes it handle everything again.
	Name string
	// SubjectPrefix is what the relay publishes under. Default: outbox.
	SubjectPrefix string

	// Ordered says which messages wait for which. Default: Unordered.
	Ordered Order
	// Concurrency is how many handlers run at the same time in this process.
	// The default is 1, because then messages are handled in stream order,
	// which is commit order, until one of them is retried (it is overtaken while
	// it waits). Raise it when order does not matter or throughput does more.
	// With Ordered: ByKey it is 8, of as many keys.
	Concurrency int
	// Prefetch is how many messages wait in this process beyond those running,
	// so that a worker need not wait for the network. They are kept alive on the
	// broker, and handed back when Run ends. Ordered: ByKey reads ahead up to
	// MaxAckPending instead. Default: the same as Concurrency. With
	// handlers of batches it is at least what fills the next batch of each worker.
	Prefetch int
	// MaxAckPending bounds the messages that are neither done nor dead, of all
	// processes together: running, buffered, waiting for a retry or for their
	// time. At the bound the broker delivers nothing more until one is settled.
	// With Ordered: ByKey it is of each share, and bounds what waits behind a
	// message that is retried.
	// Default: 1000, or what this process may hold when that is more.
	MaxAckPending int
	// AckWait is how long the broker waits for a sign of life before it gives a
	// message to someone else. Messages are kept alive three times in that span
	// however long a handler takes, so it only says how fast a died process is
	// noticed. Default: 30 s, at least 1 s.
	AckWait time.Duration

	// MaxDeliver is the number of attempts after which a message that fails
	// becomes a dead letter. [NoLimit] retries for ever. Default: 10.
	MaxDeliver int
	// Backoff is the wait between attempts. Default: 500 ms doubling to 1 min.
	Backoff Backoff
	// Breaker keeps an outage from turning messages into dead letters. It is on by default.
	Breaker BreakerConfig
	// UnmanagedDeadLetters stops Run from creating the stream for dead letters
	// (<Stream>_DLQ) when it is missing. Without that stream no message is ever
	// given up: it is retried with the longest backoff and an error is logged.
	// Default: false, the stream is created.
	UnmanagedDeadLetters bool

	// Heartbeat is how often a process tells the others of its name that it lives,
	// with Ordered: ByKey. Its share of the work is taken over when they have not
	// heard of it for four times as long. Default: 1 s, at least 50 ms.
	Heartbeat time.Duration
	// MaxBytes bounds the bytes of messages that wait in this process, with Ordered:
	// ByKey. Beyond it they are dropped and read again when their turn comes. Running
	// ones are not counted. Default: 64 MiB.
	MaxBytes int

	// DeliverPolicy is where a durable consumer that does not exist yet starts.
	// An existing one goes on where it was, whatever stands here. Default: all
	// messages that the stream has.
	DeliverPolicy jetstream.DeliverPolicy
	// StartSequence is for jetstream.DeliverByStartSequencePolicy.
	StartSequence uint64
	// StartTime is for jetstream.DeliverByStartTimePolicy.
	StartTime time.Time

	// Inbox suppresses duplicates for handlers added with Handle. Default: an
	// [inbox.Memory] of its default size.
	Inbox inbox.Inbox
	// TxInbox makes handlers added with HandleTx exactly once. Its table has to
	// exist: see inbox.SQL.EnsureSchema. Default: an [inbox.SQL] for MySQL and
	// MariaDB on the table "inbox".
	TxInbox inbox.Tx
	// ReplayHorizon is how old a message can be when it is delivered again: by a
	// broker that waited for its acknowledgement, by a replay, from a stream that
	// was restored. An inbox that forgets has to remember for longer, by an hour,
	// or Run refuses to start. Default: the age that the stream lets messages
	// reach; of a stream that keeps them for ever no inbox may forget. Danger: with
	// less than that, a message that comes later than stated is handled twice.
	ReplayHorizon time.Duration
	// TxOptions are for the transactions of HandleTx. Default: the database's own.
	TxOptions *sql.TxOptions

	// Codecs are for handlers made by [Typed] and its like, by Content-Type; a
	// message without one goes to the first. Default: JSON.
	Codecs []binjet.Codec
	// UnknownType is what becomes of a message whose Content-Type no codec of its
	// typed handler knows. Default: [UnknownDeadLetter].
	UnknownType Unknown
	// UnknownTopic is what becomes of a message that has no handler here, because
	// another process of the same Name has other topics. Default: [UnknownHandBack].
	UnknownTopic Unknown

	// Middleware wraps every handler of single messages, the first outermost,
	// outside a handler's own.
	Middleware []Middleware
	// BatchMiddleware does so for every handler of batches, which Middleware does
	// not wrap.
	BatchMiddleware []BatchMiddleware
	// DrainTimeout is how long handlers may go on after Run's context ended,
	// before their own context is cancelled. Default: 30 s.
	DrainTimeout time.Duration
	// Logger gets what is worth knowing. Default: slog.Default().
	Logger *slog.Logger
	// Hooks are called at points of a message's life. Default: none.
	Hooks Hooks
}

// WithDefaults returns c with every unset field at its default.
func (c Config) WithDefaults() Config {
	setDefault(&c.Stream, binjet.DefaultStream)
	setDefault(&c.SubjectPrefix, binjet.DefaultSubjectPrefix)
	c.setOrderDefaults()
	setDefault(&c.Concurrency, DefaultConcurrency)
	setDefault(&c.Prefetch, c.Concurrency)
	setDefault(&c.MaxAckPending, max(DefaultMaxAckPending, c.capacity()))
	setDefault(&c.AckWait, DefaultAckWait)
	setDefault(&c.MaxDeliver, DefaultMaxDeliver)
	setDefault(&c.Backoff.Min, DefaultBackoffMin)
	setDefault(&c.Backoff.Max, max(DefaultBackoffMax, c.Backoff.Min))
	setDefault(&c.Breaker.Failures, DefaultFailures)
	setDefault(&c.Breaker.Probe.Min, DefaultProbeMin)
	setDefault(&c.Breaker.Probe.Max, max(DefaultProbeMax, c.Breaker.Probe.Min))
	setDefault(&c.DrainTimeout, DefaultDrainTimeout)
	setDefault(&c.UnknownType, UnknownDeadLetter)
	setDefault(&c.UnknownTopic, UnknownHandBack)
	if c.Codecs == nil {
		c.Codecs = defaultCodecs()
	}
	if c.Inbox == nil {
		c.Inbox = inbox.NewMemory(0)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// capacity is how many messages this process may hold.
func (c Config) capacity() int { return c.Concurrency + c.Prefetch }

// validate reports every fault at once. It is meant for a config with defaults.
func (c Config) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	checkErr := func(field string, err error) { check(err == nil, "%s: %w", field, err) }
	checkErr("Name", binjet.CheckToken(c.Name))
	checkErr("Stream", binjet.CheckToken(c.Stream))
	checkErr("SubjectPrefix", binjet.CheckPrefix(c.SubjectPrefix))
	check(c.Concurrency > 0, "Concurrency is %d: at least 1 is needed", c.Concurrency)
	check(c.Prefetch > 0, "Prefetch is %d: at least 1 is needed", c.Prefetch)
	check(c.MaxAckPending >= c.capacity(),
		"MaxAckPending is %d, less than Concurrency and Prefetch together (%d)", c.MaxAckPending, c.capacity())
	check(c.AckWait >= time.Second, "AckWait is %s: at least 1s is needed", c.AckWait)
	check(c.MaxDeliver > 0 || c.MaxDeliver == NoLimit, "MaxDeliver is %d: give a positive number or NoLimit", c.MaxDeliver)
	check(c.Backoff.Min > 0 && c.Backoff.Max >= c.Backoff.Min,
		"Backoff is %s to %s: it has to rise from above zero", c.Backoff.Min, c.Backoff.Max)
	check(c.Breaker.Failures > 0, "Breaker.Failures is %d: it has to be positive", c.Breaker.Failures)
	check(c.Breaker.Probe.Min > 0 && c.Breaker.Probe.Max >= c.Breaker.Probe.Min,
		"Breaker.Probe is %s to %s: it has to rise from above zero", c.Breaker.Probe.Min, c.Breaker.Probe.Max)
	check(c.ReplayHorizon >= 0, "ReplayHorizon is %s: give a positive time, or 0 for the stream's own", c.ReplayHorizon)
	check(c.DrainTimeout > 0, "DrainTimeout is %s: it has to be positive", c.DrainTimeout)
	check(c.UnknownType >= UnknownHandBack && c.UnknownType <= UnknownSkip, "UnknownType is %d: take one of the constants", c.UnknownType)
	check(c.UnknownTopic >= UnknownHandBack && c.UnknownTopic <= UnknownSkip, "UnknownTopic is %d: take one of the constants", c.UnknownTopic)
	check(!slices.Contains(c.Codecs, nil), "Codecs has a nil in it")
	byTime := c.DeliverPolicy == jetstream.DeliverByStartTimePolicy
	bySequence := c.DeliverPolicy == jetstream.DeliverByStartSequencePolicy
	check(byTime == !c.StartTime.IsZero(), "StartTime goes with DeliverByStartTimePolicy and only with it")
	check(bySequence == (c.StartSequence > 0), "StartSequence goes with DeliverByStartSequencePolicy and only with it")
	c.validateOrder(check)
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("consumer config: %w", errors.Join(faults...))
}
