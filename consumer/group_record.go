package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

const (
	groupKey   = "group"
	setUpTries = 5
)

// groupRecord is what all members of an ordered consumer have in common.
type groupRecord struct {
	V int `json:"v"`
	// Stream is when the stream was created.
	Stream time.Time `json:"stream"`
	// Partitions is how many it has; with 0 there is one share.
	Partitions int `json:"partitions"`
	// Topics are the patterns of the member that started last.
	Topics []string `json:"topics"`
	// Cut and From are where a share begins that was never worked on.
	Cut  uint64    `json:"cut"`
	From time.Time `json:"from,omitzero"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// setUp makes the bucket and the group's record ready.
func (g *group) setUp(ctx context.Context, at jetstream.Stream) error {
	if err := g.bucket.ensure(ctx, int(g.replicas.Load())); err != nil {
		return err
	}
	for try := 0; ; try++ {
		done, err := g.agree(ctx, at)
		if done {
			return g.retireDurable(ctx, at)
		}
		if permanent(err) || try == setUpTries || ctx.Err() != nil {
			return err
		}
	}
}

// agree reads the group's record and writes it where it is to be another.
func (g *group) agree(ctx context.Context, at jetstream.Stream) (done bool, err error) {
	var was groupRecord
	found, revision, err := g.bucket.load(ctx, groupKey, &was)
	if err != nil {
		return false, err
	}
	next, err := g.wanted(ctx, at, found, was)
	if err != nil {
		return false, err
	}
	if !found || !slices.Equal(was.Topics, next.Topics) || !was.Stream.Equal(next.Stream) {
		if _, err := g.bucket.swap(ctx, groupKey, next, revision); err != nil {
			return false, err // maybe another member was faster
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.record = next
	return true, nil
}

// wanted is the record as it should be.
func (g *group) wanted(ctx context.Context, at jetstream.Stream, found bool, was groupRecord) (groupRecord, error) {
	if err := checkVersion(was.V); err != nil {
		return was, err
	}
	created, partitions := at.CachedInfo().Created, int(g.partitions.Load())
	next := was
	next.V, next.Topics, next.By, next.At = recordVersion, g.patterns(), g.me, time.Now().UTC()
	if found && was.Stream.Equal(created) {
		if was.Partitions != partitions {
			return was, &permanentError{fmt.Errorf("stream %s has %d partitions, and consumer %s was ordered over %d: a key's messages may lie in two of them; "+
				"choose another Name, or delete the keys %s> of bucket %s, with which it begins anew at DeliverPolicy",
				g.cfg.Stream, partitions, g.cfg.Name, was.Partitions, g.bucket.prefix, binjet.ConsumerBucket)}
		}
		if !slices.Equal(was.Topics, next.Topics) {
			g.log.Warn("the topics of the consumer change, share by share as these are taken; messages of new topics that a share has already passed "+
				"are not delivered: use a new Name to handle them", slog.Any("from", was.Topics), slog.Any("to", next.Topics))
		}
		return next, nil
	}
	if found {
		g.log.Warn("the stream was made anew; the consumer begins at DeliverPolicy", slog.Time("was_created", was.Stream), slog.Time("created", created))
	}
	next.Stream, next.Partitions = created, partitions
	var err error
	next.Cut, next.From, err = g.first(ctx, at)
	return next, err
}

// first is where the consumer begins: behind what it has done without order, or
// at DeliverPolicy.
func (g *group) first(ctx context.Context, at jetstream.Stream) (cut uint64, from time.Time, err error) {
	old, err := at.Consumer(ctx, g.cfg.Name)
	switch {
	case err == nil:
		cut = old.CachedInfo().AckFloor.Stream
		g.log.Warn("the consumer was unordered and goes on ordered by key; what it had handled behind the first unfinished message is delivered again",
			slog.Uint64("behind", cut))
		return cut, from, nil
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return 0, from, &permanentError{fmt.Errorf("a push consumer named %s exists: delete it or choose another Name: %w", g.cfg.Name, err)}
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return 0, from, fmt.Errorf("look up a durable consumer of the name: %w", err)
	}
	switch g.cfg.DeliverPolicy {
	case jetstream.DeliverNewPolicy:
		return at.CachedInfo().State.LastSeq, from, nil
	case jetstream.DeliverByStartSequencePolicy:
		return g.cfg.StartSequence - 1, from, nil
	case jetstream.DeliverByStartTimePolicy:
		return 0, g.cfg.StartTime, nil
	}
	return 0, from, nil
}

// retireDurable deletes the durable consumer of the time without order, so that
// a process that still uses it finds out.
func (g *group) retireDurable(ctx context.Context, at jetstream.Stream) error {
	err := at.DeleteConsumer(ctx, g.cfg.Name)
	if err == nil {
		g.log.Warn("the durable consumer of the unordered time was deleted", slog.String("durable", g.cfg.Name))
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return err
}

// patterns are the topics of this process's handlers.
func (g *group) patterns() []string {
	patterns := make([]string, 0, len(g.routes))
	for _, r := range g.routes {
		patterns = append(patterns, r.pattern)
	}
	slices.Sort(patterns)
	return patterns
}

// topics are those of the group, which the member that started last has set.
func (g *group) topics(ctx context.Context) ([]string, error) {
	var now groupRecord
	found, _, err := g.bucket.load(ctx, groupKey, &now)
	if err == nil && !found {
		err = fmt.Errorf("key %s of bucket %s is gone", g.bucket.prefix+groupKey, binjet.ConsumerBucket)
		g.renew(err)
	}
	return now.Topics, err
}

// begin is where a share begins that was never worked on.
func (g *group) begin() position {
	g.mu.Lock()
	defer g.mu.Unlock()
	return position{Cut: g.record.Cut, From: g.record.From}
}

// sameStream reports why the group's record is of another stream.
func (g *group) sameStream(info *jetstream.StreamInfo) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !info.Created.Equal(g.record.Stream) {
		return fmt.Errorf("stream %s was made anew", g.cfg.Stream)
	}
	return nil
}

// errOrdered ends a Run without order of a consumer that has one.
var errOrdered = errors.New("the consumer is ordered by key")

// refuseOrdered undoes the creation of a durable consumer whose name is that of an
// ordered consumer.
func (q *queue) refuseOrdered(ctx context.Context, at jetstream.Stream) error {
	b := q.newBucket()
	var record groupRecord
	found, _, err := b.load(ctx, groupKey, &record)
	if err != nil {
		return fmt.Errorf("find out whether the consumer was ordered: %w", err)
	}
	if !found {
		return nil
	}
	if err := at.DeleteConsumer(ctx, q.cfg.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	return &permanentError{fmt.Errorf("%w: run it with Ordered: ByKey, choose another Name, or delete the keys %s> of bucket %s, "+
		"with which it begins anew at DeliverPolicy", errOrdered, b.prefix, binjet.ConsumerBucket)}
}
