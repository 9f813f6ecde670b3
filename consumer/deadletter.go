package consumer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/deadletter"
)

const buryTimeout = 10 * time.Second

// deadStream is the name of the stream of dead letters.
func (c *Consumer) deadStream() string { return deadletter.Stream(c.cfg.Stream) }

// ensureDeadLetters creates the dead-letter stream when it is missing and ours
// to create. An existing one is left as it is.
func (c *Consumer) ensureDeadLetters(ctx context.Context, replicas int) error {
	if !c.cfg.UnmanagedDeadLetters {
		_, err := deadletter.Ensure(ctx, c.js, c.cfg.Stream, replicas)
		return err
	}
	_, err := c.js.Stream(ctx, c.deadStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("stream %s for dead letters does not exist: create it with the subject dlq.%s.> or unset UnmanagedDeadLetters",
			c.deadStream(), c.cfg.Stream)
	}
	return err
}

// bury stores the message in the dead-letter stream. It returns nil only when
// the broker has acknowledged that it is stored.
func (e *engine) bury(d *delivery, reason error) error {
	if e.js == nil {
		return nil // there is no broker: the outcome says it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.work), buryTimeout)
	defer cancel()
	dead := e.deadLetter(d, reason)
	_, err := e.js.PublishMsg(ctx, dead, jetstream.WithExpectStream(e.deadStream()))
	if err == nil || !errors.Is(err, jetstream.ErrNoStreamResponse) {
		return err
	}
	if err := e.ensureDeadLetters(ctx, int(e.replicas.Load())); err != nil {
		return err
	}
	_, err = e.js.PublishMsg(ctx, dead, jetstream.WithExpectStream(e.deadStream()))
	return err
}

// deadLetter is the message as it was and why it died. The broker's own headers
// are left off: most are commands that would be carried out again, and a dead
// letter does not expire. Its ID makes a second copy, written because the process
// died before it could terminate the message, a duplicate for the broker for a day.
// A later one is a second dead letter of the same origin; its replay is a duplicate
// for the inbox.
func (e *engine) deadLetter(d *delivery, reason error) *nats.Msg {
	topic := d.msg.Topic
	if binjet.CheckTopic(topic) != nil {
		topic = topicOf(d.msg.Subject, e.cfg.SubjectPrefix, e.partitioned())
	}
	dead := nats.NewMsg(deadletter.Subject(e.cfg.Stream, e.cfg.Name, topic))
	dead.Data = d.raw.Data
	for name, values := range d.raw.Header {
		if !strings.HasPrefix(strings.ToLower(name), "nats-") {
			dead.Header[name] = values
		}
	}
	set := func(name, value string) { dead.Header[name] = []string{value} }
	set(binjet.HeaderDeadReason, deadletter.Reason(reason.Error()))
	set(binjet.HeaderDeadAttempts, strconv.Itoa(d.msg.Attempt))
	set(binjet.HeaderDeadAt, time.Now().UTC().Format(binjet.CreatedAtLayout))
	set(binjet.HeaderDeadConsumer, e.cfg.Name)
	set(binjet.HeaderDeadReplays, strconv.Itoa(d.msg.Replayed))
	set(binjet.HeaderOriginSubject, d.msg.Subject)
	set(binjet.HeaderOriginSequence, strconv.FormatUint(d.msg.Sequence, 10))
	set(binjet.HeaderOriginTime, d.msg.Published.UTC().Format(time.RFC3339Nano))
	set(jetstream.MsgIDHeader, fmt.Sprintf("%s.%d.%d.%d", e.cfg.Name, d.msg.Sequence, d.msg.Published.UnixNano(), d.msg.Replayed))
	var panicked *PanicError
	if errors.As(reason, &panicked) {
		set(binjet.HeaderDeadStack, deadletter.Stack(panicked.Stack))
	}
	e.trim(dead)
	return dead
}

// What the broker takes: of headers, and of those that the client adds.
const (
	maxHeaderBytes = 64<<10 - 1
	sentHeaders    = 128 // Nats-Expected-Stream
)

// trim makes a dead letter as small as it has to be, at the cost of the stack
// first, then of the reason.
func (e *engine) trim(dead *nats.Msg) {
	for _, name := range []string{binjet.HeaderDeadStack, binjet.HeaderDeadReason} {
		size := headerBytes(dead.Header) + sentHeaders
		room := maxHeaderBytes - size
		if limit := e.js.Conn().MaxPayload(); limit > 0 {
			room = min(room, int(limit)-size-len(dead.Data))
		}
		deadletter.Trim(dead.Header, name, room)
	}
}

func headerBytes(h nats.Header) int {
	n := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}
