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
)

const (
	buryTimeout    = 10 * time.Second
	maxReasonBytes = 1024
)

// deadStream is the name of the stream of dead letters.
func (c *Consumer) deadStream() string { return c.cfg.Stream + "_DLQ" }

// ensureDeadLetters creates the dead-letter stream when it is missing and ours
// to create. An existing one is left as it is.
func (c *Consumer) ensureDeadLetters(ctx context.Context, replicas int) error {
	_, err := c.js.Stream(ctx, c.deadStream())
	if err == nil || !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	if c.cfg.UnmanagedDeadLetters {
		return fmt.Errorf("stream %s for dead letters does not exist: create it with the subject dlq.%s.> or unset UnmanagedDeadLetters",
			c.deadStream(), c.cfg.Stream)
	}
	_, err = c.js.CreateStream(ctx, jetstream.StreamConfig{
		Name:        c.deadStream(),
		Description: "binjet: messages of stream " + c.cfg.Stream + " that could not be handled",
		Subjects:    []string{"dlq." + c.cfg.Stream + ".>"},
		Storage:     jetstream.FileStorage,
		Replicas:    max(replicas, 1),
		AllowDirect: true,
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
		return nil
	}
	return err
}

// bury stores the message in the dead-letter stream. It returns nil only when
// the broker has acknowledged that it is stored.
func (e *engine) bury(d *delivery, reason error) error {
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
		topic = topicOf(d.msg.Subject, e.cfg.SubjectPrefix, e.partitioned.Load())
	}
	dead := nats.NewMsg(strings.Join([]string{"dlq", e.cfg.Stream, e.cfg.Name, topic}, "."))
	dead.Data = d.raw.Data
	for name, values := range d.raw.Header {
		if !strings.HasPrefix(strings.ToLower(name), "nats-") {
			dead.Header[name] = values
		}
	}
	dead.Header.Set(binjet.HeaderDeadReason, headerText(reason))
	dead.Header.Set(binjet.HeaderDeadAttempts, strconv.Itoa(d.msg.Attempt))
	dead.Header.Set(binjet.HeaderDeadAt, time.Now().UTC().Format(binjet.CreatedAtLayout))
	dead.Header.Set(binjet.HeaderOriginSubject, d.msg.Subject)
	dead.Header.Set(binjet.HeaderOriginSequence, strconv.FormatUint(d.msg.Sequence, 10))
	dead.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s.%d.%d", e.cfg.Name, d.msg.Sequence, d.msg.Published.UnixNano()))
	return dead
}

// headerText is an error as one line that a header can hold.
func headerText(err error) string {
	s := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\x00", " ")), " ")
	if len(s) > maxReasonBytes {
		s = strings.ToValidUTF8(s[:maxReasonBytes], "") + "…"
	}
	return s
}
