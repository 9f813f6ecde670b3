package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binjet/binjet"
)

// Typed inserts values of one type, on one topic, encoded by one codec. It is safe
// for use by several goroutines.
type Typed[T any] struct {
	outbox *Producer
	topic  string
	codec  binjet.Codec
}

// NewTyped binds a topic and a codec to a Producer. A topic that no message may
// have is an error here, and not first at an insert.
func NewTyped[T any](outbox *Producer, topic string, codec binjet.Codec) (*Typed[T], error) {
	switch {
	case outbox == nil:
		return nil, errors.New("typed producer: the Producer is nil")
	case codec == nil:
		return nil, fmt.Errorf("typed producer for %q: the codec is nil", topic)
	}
	if err := binjet.CheckTopic(topic); err != nil {
		return nil, fmt.Errorf("typed producer: %w", err)
	}
	return &Typed[T]{outbox, topic, codec}, nil
}

// Insert inserts v through tx, as [Producer.Insert] does. An empty key is none.
//
// Each call is an event of its own. Where an insert may have to be repeated after
// a commit of unknown outcome, name the event by [WithID], or make it once by
// [Typed.Message].
func (t *Typed[T]) Insert(ctx context.Context, tx Execer, key string, v T, opts ...Option) error {
	m, err := t.Message(key, v, opts...)
	if err != nil {
		return err
	}
	return t.outbox.Insert(ctx, tx, m)
}

// Message makes the message and does not insert it: several, of several types,
// are inserted in one statement by [Producer.Insert].
func (t *Typed[T]) Message(key string, v T, opts ...Option) (*binjet.Message, error) {
	payload, err := t.codec.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T for topic %q as %s: %w", v, t.topic, t.codec.ContentType(), err)
	}
	m := &binjet.Message{Topic: t.topic, Key: key, ContentType: t.codec.ContentType(), Payload: payload}
	for _, opt := range opts {
		opt(m)
	}
	return m, nil
}

// Option sets what a message has beside its value.
type Option func(m *binjet.Message)

// WithID names the event. The same event inserted again is then refused by the
// primary key. Default: an ID made at the insert.
func WithID(id string) Option { return func(m *binjet.Message) { m.ID = id } }

// WithHeader sets a header, in place of the values that it has.
func WithHeader(name, value string) Option {
	return func(m *binjet.Message) {
		if m.Headers == nil {
			m.Headers = binjet.Headers{}
		}
		m.Headers.Set(name, value)
	}
}

// WithExpireAfter drops the message from the stream this long after it was
// published, handled or not. Whole seconds, at least one.
func WithExpireAfter(d time.Duration) Option {
	return func(m *binjet.Message) { m.ExpireAfter = d }
}

// WithDeliverAt holds the message back from handlers until then. It is on the
// stream at once, and consumers that are not of binjet's SDK see it at once.
func WithDeliverAt(at time.Time) Option { return func(m *binjet.Message) { m.DeliverAt = at } }
