package consumer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/runenv"
	"github.com/binjet/binjet/producer/codec"
)

// Typed makes a [Handler] of a function that takes the payload as a T. The codec
// is the one for the message's Content-Type, of codecs, or of Config.Codecs when
// none are given. T may be a pointer, and has to be for protobuf; it points to a
// new value for each message and is never nil.
//
// A payload that the codec can't read becomes a dead letter at once, with the
// codec's error. What becomes of a Content-Type that no codec knows is said by
// Config.UnknownType.
func Typed[T any](h func(ctx context.Context, msg *Message, v T) error, codecs ...binjet.Codec) Handler {
	if h == nil {
		return nil // which Run reports
	}
	return func(ctx context.Context, msg *Message) error {
		v, err := decodeAs[T](ctx, msg, codecs)
		if err != nil {
			return err
		}
		return h(ctx, msg, v)
	}
}

// TypedTx is [Typed] for HandleTx.
func TypedTx[T any](h func(ctx context.Context, tx *sql.Tx, msg *Message, v T) error, codecs ...binjet.Codec) TxHandler {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, tx *sql.Tx, msg *Message) error {
		v, err := decodeAs[T](ctx, msg, codecs)
		if err != nil {
			return err
		}
		return h(ctx, tx, msg, v)
	}
}

// Item is one message of a batch and its value.
type Item[T any] struct {
	*Message
	Value T
}

// TypedBatch is [Typed] for HandleBatch. h gets the messages that can be read;
// the others end by themselves.
func TypedBatch[T any](h func(ctx context.Context, items []Item[T]) error, codecs ...binjet.Codec) BatchHandler {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, msgs []*Message) error {
		items, unreadable := decodeAll[T](ctx, msgs, codecs)
		if len(items) == 0 {
			return unreadable
		}
		err := h(ctx, items)
		if len(unreadable) == 0 {
			return err
		}
		var failed BatchError
		if err != nil && !errors.As(err, &failed) {
			return err // all of them failed; they are seen one by one
		}
		for id, err := range failed {
			unreadable[id] = err
		}
		return unreadable
	}
}

// TypedBatchTx is [Typed] for HandleBatchTx. h gets the messages that can be
// read; where some can't, it first runs when these have been left out.
func TypedBatchTx[T any](h func(ctx context.Context, tx *sql.Tx, items []Item[T]) error, codecs ...binjet.Codec) TxBatchHandler {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, tx *sql.Tx, msgs []*Message) error {
		items, unreadable := decodeAll[T](ctx, msgs, codecs)
		if len(unreadable) > 0 {
			return unreadable // the transaction has their claims
		}
		return h(ctx, tx, items)
	}
}

func decodeAll[T any](ctx context.Context, msgs []*Message, codecs []binjet.Codec) ([]Item[T], BatchError) {
	items := make([]Item[T], 0, len(msgs))
	unreadable := BatchError{}
	for _, msg := range msgs {
		v, err := decodeAs[T](ctx, msg, codecs)
		if err != nil {
			unreadable[msg.ID] = err
			continue
		}
		items = append(items, Item[T]{msg, v})
	}
	return items, unreadable
}

// decodeAs reads the payload. Its error is a verdict: a [Discard] or ErrUnknownType.
func decodeAs[T any](ctx context.Context, msg *Message, codecs []binjet.Codec) (v T, err error) {
	if len(codecs) == 0 {
		codecs = runenv.From(ctx).Codecs
	}
	if len(codecs) == 0 {
		codecs = defaultCodecs()
	}
	c := binjet.CodecFor(msg.ContentType, codecs)
	if c == nil {
		return v, fmt.Errorf("%w %q", ErrUnknownType, msg.ContentType)
	}
	var into any = &v
	if t := reflect.TypeFor[T](); t.Kind() == reflect.Pointer {
		into = reflect.New(t.Elem()).Interface()
		v = into.(T)
	}
	if err := c.Unmarshal(msg.Payload, into); err != nil {
		return v, Discard(fmt.Errorf("the payload can't be read as %s into %T: %w", c.ContentType(), v, err))
	}
	return v, nil
}

func defaultCodecs() []binjet.Codec { return []binjet.Codec{codec.JSON{}} }
