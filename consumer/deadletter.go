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
// letter does not expire. The ID makes a second copy, written because the
// process died before it could terminate the message, a duplicate for the broker.
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
	dead.Header.Set(binjet.HeaderDeadReason, deadletter.Reason(reason.Error()))
	dead.Header.Set(binjet.HeaderDeadAttempts, strconv.Itoa(d.msg.Attempt))
	dead.Header.Set(binjet.HeaderDeadAt, time.Now().UTC().Format(binjet.CreatedAtLayout))
	dead.Header.Set(binjet.HeaderOriginSubject, d.msg.Subject)
	dead.Header.Set(binjet.HeaderOriginSequence, strconv.FormatUint(d.msg.Sequence, 10))
	dead.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s.%d.%d", e.cfg.Name, d.msg.Sequence, d.msg.Published.UnixNano()))
	return dead
}
