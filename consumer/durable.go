package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

// setupTimeout bounds each call to the broker's API.
const setupTimeout = 10 * time.Second

// permanentError is a fault that no retry heals.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// permanent reports whether err ends Run when it is met at the start.
func permanent(err error) bool {
	var p *permanentError
	if errors.As(err, &p) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code == 400
}

// prepare looks the stream up, notes what is to be known of it, and gives dead
// letters a place.
func (e *engine) prepare(ctx context.Context) (jetstream.Stream, error) {
	stream, err := e.stream(ctx)
	if err != nil {
		return nil, err
	}
	cfg := stream.CachedInfo().Config
	partitions, err := parsePartitions(cfg.Metadata[binjet.MetadataPartitions])
	if err != nil {
		return nil, &permanentError{fmt.Errorf("stream %s: %w", e.cfg.Stream, err)}
	}
	if err := e.checkRetention(cfg.MaxAge); err != nil {
		return nil, err
	}
	if err := e.prepareInbox(ctx); err != nil {
		return nil, err
	}
	e.partitions.Store(int32(partitions))
	e.replicas.Store(int32(cfg.Replicas))
	if err := e.ensureDeadLetters(ctx, cfg.Replicas); err != nil {
		e.log.Error("there is no usable stream for dead letters; failing messages are retried for ever", slog.Any("error", err))
	}
	return stream, nil
}

func (e *engine) stream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := e.js.Stream(ctx, e.cfg.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, &permanentError{fmt.Errorf("stream %s does not exist: start the relay (binjet run creates it) or run `binjet init`: %w", e.cfg.Stream, err)}
	}
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", e.cfg.Stream, err)
	}
	return stream, nil
}

// parsePartitions reads the stream's metadata; none is 0.
func parsePartitions(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("metadata %s is %q, not a number", binjet.MetadataPartitions, s)
	}
	return n, nil
}

// ensureDurable creates a durable consumer, or brings an existing one to what is
// wanted where that is possible.
func (e *engine) ensureDurable(ctx context.Context, stream jetstream.Stream, want jetstream.ConsumerConfig) error {
	existing, err := stream.Consumer(ctx, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err := stream.CreateConsumer(ctx, want)
		return raced("create the durable consumer", err)
	}
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		return &permanentError{fmt.Errorf("a push consumer of that name exists: delete it or choose another Name: %w", err)}
	}
	if err != nil {
		return fmt.Errorf("look up the durable consumer: %w", err)
	}
	have := existing.CachedInfo().Config
	if have.AckPolicy != jetstream.AckExplicitPolicy {
		return &permanentError{fmt.Errorf("a consumer of that name exists with ack policy %s; it has to be explicit: "+
			"delete it or choose another Name", have.AckPolicy)}
	}
	return e.updateDurable(ctx, stream, have, want)
}

// durable is the consumer as it should be. MaxDeliver is unlimited on purpose:
// at a limit the broker would stop delivering the message without a word. This
// package counts attempts and writes dead letters.
func (e *engine) durable() jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Durable:        e.cfg.Name,
		Description:    "binjet consumer",
		DeliverPolicy:  e.cfg.DeliverPolicy,
		OptStartSeq:    e.cfg.StartSequence,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        e.cfg.AckWait,
		MaxDeliver:     -1,
		MaxAckPending:  e.cfg.MaxAckPending,
		FilterSubjects: filters(e.cfg.SubjectPrefix, e.partitioned(), e.routes),
	}
	if !e.cfg.StartTime.IsZero() {
		cfg.OptStartTime = &e.cfg.StartTime
	}
	slices.Sort(cfg.FilterSubjects)
	return cfg
}

// updateDurable changes what may be changed and says what may not.
func (e *engine) updateDurable(ctx context.Context, stream jetstream.Stream, have, want jetstream.ConsumerConfig) error {
	if have.DeliverPolicy != want.DeliverPolicy {
		e.log.Warn("the durable consumer was created with another DeliverPolicy, which can't be changed; it goes on where it was",
			slog.String("has", have.DeliverPolicy.String()), slog.String("config", want.DeliverPolicy.String()))
	}
	filter := have.FilterSubjects
	if have.FilterSubject != "" {
		filter = []string{have.FilterSubject}
	}
	filter = slices.Sorted(slices.Values(filter))
	sameFilter := slices.Equal(filter, want.FilterSubjects)
	if sameFilter && have.AckWait == want.AckWait && have.MaxDeliver == want.MaxDeliver &&
		have.MaxAckPending == want.MaxAckPending && len(have.BackOff) == 0 {
		return nil
	}
	if !sameFilter {
		e.log.Warn("the topics of the durable consumer change; messages of new topics that the consumer has already passed "+
			"are not delivered: use a new Name to handle them", slog.Any("from", filter), slog.Any("to", want.FilterSubjects))
	}
	have.FilterSubject, have.FilterSubjects = "", want.FilterSubjects
	have.AckWait, have.MaxDeliver, have.MaxAckPending, have.BackOff = want.AckWait, want.MaxDeliver, want.MaxAckPending, nil
	_, err := stream.UpdateConsumer(ctx, have)
	return raced("update the durable consumer", err)
}

// raced hides the broker's code of errors that only say that another process
// created or deleted the consumer meanwhile, so that they are not taken for permanent.
func raced(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrConsumerExists), errors.Is(err, jetstream.ErrConsumerDoesNotExist):
		return fmt.Errorf("%s, which another process changed meanwhile: %v", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// othersFail reports whether the broker redelivers more messages than this one, to
// whatever process.
func (c *Consumer) othersFail(d *delivery) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	cons, err := c.js.Consumer(ctx, d.at.stream, d.durable)
	if err != nil {
		return false, err
	}
	others := cons.CachedInfo().NumRedelivered
	if d.delivered > 1 {
		others--
	}
	return others > 0, nil
}
