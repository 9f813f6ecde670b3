package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// Source yields what was committed. *binlog.Reader is one.
type Source interface {
	// Begin returns where to begin when there is no checkpoint at all.
	Begin(ctx context.Context) (checkpoint.Position, error)
	// Verify says whether reading can go on from p. It changes nothing.
	Verify(ctx context.Context, p checkpoint.Position) error
	// Stream yields everything behind p in commit order until ctx ends, yield
	// fails, or going on would break a promise (*[checkpoint.HaltError]).
	Stream(ctx context.Context, p checkpoint.Position, yield func(*checkpoint.Transaction) error) error
}

// Limits of an atomic batch. The broker takes 1000 messages; one is the
// checkpoint. It sets no limit in bytes but holds a batch in memory on R>1.
const (
	MaxBatchMessages  = 998
	DefaultBatchBytes = 4 << 20
)

// Config of a [Relay]. Source, Name and Conn are required.
type Config struct {
	// Source is where transactions come from.
	Source Source
	// Name of the source: a token of the checkpoint subject, and what every relay
	// of the same database must share.
	Name string
	// Conn to the broker. It should reconnect for ever; the relay never closes it.
	Conn *nats.Conn
	// Stream to publish to. Default OUTBOX.
	Stream string
	// SubjectPrefix of events. Default "outbox".
	SubjectPrefix string
	// Partitions > 0 puts the key's partition between prefix and topic. It must be
	// the same for the life of the stream. Default 0, none.
	Partitions int
	// Manage creates the stream and the bucket when they are absent, and adds this
	// source's checkpoint subject to a stream of binjet's. Nothing is ever shrunk.
	Manage bool
	// Replicas of a stream that is created. Default 1.
	Replicas int
	// Instance names this process for people. Default host:pid. A random part is
	// always added, since no two may share a name.
	Instance string
	// Heartbeat is how often an idle leader writes its checkpoint. A standby takes
	// over after three of them in silence. Default 1 s. It must be the same for all.
	Heartbeat time.Duration
	// HandOver is how long a leader's source may be out of reach, if it is [Linked],
	// before the leader releases the checkpoint: the way to it may be cut for this
	// process only. Whichever relay reaches the source takes over; none does while it
	// is down for all. Default: ten heartbeats, longer than most restarts of a server.
	HandOver time.Duration
	// CommitTimeout is how long to wait for the answer to a commit before asking
	// the stream what happened. Default 2 s. Too short only costs repetitions.
	CommitTimeout time.Duration
	// BatchMessages and BatchBytes bound a batch. Defaults 998 and 4 MiB.
	BatchMessages, BatchBytes int
	// QueueBytes bounds what is read ahead of the publisher, besides two batches'
	// events. Default 8 MiB.
	QueueBytes int
	// OnInvalid says what becomes of a row that can't be published: [Quarantine]
	// (default) stores it in the dead-letter stream before the position moves, [Halt] stops.
	OnInvalid InvalidPolicy
	// PublishedBefore tells a rescan that every row inserted before then was published,
	// where the stream has let go too many events to tell. Default: none is known to be.
	PublishedBefore time.Time
	// Logger for what an operator should know. Default: none.
	Logger *slog.Logger
	// Hooks observe; see there.
	Hooks Hooks
}

// Hooks are called as things happen, from the relay's own goroutines: they must
// return quickly and not call back. Any may be nil.
type Hooks struct {
	// Committed is called for every checkpoint that the stream holds, heartbeats
	// and take-overs included, and for every event that was published by itself.
	Committed func(Commit)
	// Settled is called when a commit had no OK, with what was found: "committed",
	// "resend", "deposed", "older" or "retry", and the cause.
	Settled func(verdict string, cause error)
	// Role is called when the role changes.
	Role func(Role)
	// Quarantined is called when a row was stored in the dead-letter stream, with the reason.
	Quarantined func(id, reason string)
}

// Commit describes one stored checkpoint, or one stored event that went by itself.
type Commit struct {
	// Alone says that this is an event by itself, which the next checkpoint will cover:
	// Seq is its own, and Checkpoint the last one with the position and count behind it.
	Alone bool

	Events     int           // published with it
	Bytes      int           // of these events
	Oldest     time.Time     // commit time of the oldest transaction in it; zero for a heartbeat
	Parts      []Part        // the transactions in it that have events, in their order
	Duration   time.Duration // from the commit message to the settled outcome
	Seq        uint64        // of the checkpoint, or of the event by itself
	Checkpoint checkpoint.Checkpoint
}

// Part is what a batch has of one transaction: all of it, unless that is larger than
// a batch.
type Part struct {
	Committed time.Time // in the source; zero for rows of a snapshot
	// Messages as they were published. They may be read during the hook only, and not
	// be changed: they are used again, and later events would be damaged.
	Messages []*nats.Msg
}

// InvalidPolicy is what to do with a row that can't be published.
type InvalidPolicy string

// The policies.
const (
	Quarantine InvalidPolicy = "quarantine"
	Halt       InvalidPolicy = "halt"
)

// Role of a relay.
type Role string

// The roles.
const (
	Standby Role = "standby"
	Leader  Role = "leader"
	Stopped Role = "stopped"
)

func (c Config) withDefaults() Config {
	c.Stream = or(c.Stream, binjet.DefaultStream)
	c.SubjectPrefix = or(c.SubjectPrefix, binjet.DefaultSubjectPrefix)
	c.Replicas = or(c.Replicas, 1)
	c.Heartbeat = or(c.Heartbeat, time.Second)
	c.HandOver = or(c.HandOver, 10*c.Heartbeat)
	c.CommitTimeout = or(c.CommitTimeout, 2*time.Second)
	c.BatchMessages = or(c.BatchMessages, MaxBatchMessages)
	c.BatchBytes = or(c.BatchBytes, DefaultBatchBytes)
	c.QueueBytes = or(c.QueueBytes, 8<<20)
	c.OnInvalid = or(c.OnInvalid, Quarantine)
	if c.Instance == "" {
		host, _ := os.Hostname()
		c.Instance = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	c.Instance += ":" + randomToken(4)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (c Config) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Source == nil, "Source is missing")
	fault(c.Conn == nil, "Conn is missing")
	if err := binjet.CheckToken(c.Name); err != nil {
		faults = append(faults, fmt.Errorf("source name: %w", err))
	}
	if err := binjet.CheckToken(c.Stream); err != nil {
		faults = append(faults, fmt.Errorf("stream name: %w", err))
	}
	if err := binjet.CheckPrefix(c.SubjectPrefix); err != nil {
		faults = append(faults, err)
	}
	fault(c.Partitions < 0, "partitions: %d is negative", c.Partitions)
	fault(c.Replicas < 1 || c.Replicas > 5, "replicas: %d is not 1 to 5", c.Replicas)
	fault(c.Heartbeat < 50*time.Millisecond, "heartbeat %s is shorter than 50 ms", c.Heartbeat)
	fault(c.HandOver < c.Heartbeat, "hand over after %s, which is shorter than a heartbeat", c.HandOver)
	fault(c.CommitTimeout < 10*time.Millisecond, "commit timeout %s is shorter than 10 ms", c.CommitTimeout)
	fault(c.BatchMessages < 1 || c.BatchMessages > MaxBatchMessages, "batch messages: %d is not 1 to %d", c.BatchMessages, MaxBatchMessages)
	fault(c.BatchBytes < 1, "batch bytes: %d is not positive", c.BatchBytes)
	fault(c.OnInvalid != Quarantine && c.OnInvalid != Halt, "on_invalid: %q is neither quarantine nor halt", c.OnInvalid)
	fault(c.QueueBytes < 1, "queue bytes: %d is not positive", c.QueueBytes)
	return errors.Join(faults...)
}

func randomToken(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
