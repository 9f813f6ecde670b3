package relay

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/internal/pause"
)

// quarantine stores a row that can't be published in the dead-letter stream. It
// returns when the broker has stored it, however long that takes, and before its
// transaction enters the queue: so the position never moves past a row that lies
// nowhere. A relay that dies in between stores it again under the same message
// ID. With [Halt] it returns a *[checkpoint.HaltError] instead.
func (r *Relay) quarantine(ctx context.Context, tx *checkpoint.Transaction, bad checkpoint.Invalid) error {
	m := &tx.Messages[bad.Index]
	if r.cfg.OnInvalid == Halt {
		return &checkpoint.HaltError{
			Problem: fmt.Sprintf("event %q of %s can't be published: %s", m.ID, transactionName(tx), bad.Reason),
			Hint:    "Mend what keeps it from being published and start again, or set on_invalid to quarantine; nothing of this transaction was published",
		}
	}
	letters, err := r.deadLetters(tx, bad)
	if err != nil {
		return err
	}
	for _, letter := range letters {
		if err := r.bury(ctx, letter); err != nil {
			return err
		}
	}
	r.log.Error("a row can't be published; it lies in the dead-letter stream", slog.String("id", m.ID), slog.String("topic", m.Topic),
		slog.String("transaction", tx.GTID.String()), slog.String("reason", bad.Reason), slog.String("stream", deadletter.Stream(r.cfg.Stream)))
	if r.cfg.Hooks.Quarantined != nil {
		r.cfg.Hooks.Quarantined(m.ID, bad.Reason)
	}
	return nil
}

func transactionName(tx *checkpoint.Transaction) string {
	if tx.GTID.IsZero() {
		return "the snapshot"
	}
	return "transaction " + tx.GTID.String()
}

// bury publishes one dead letter until the broker has stored it.
func (r *Relay) bury(ctx context.Context, letter *nats.Msg) error {
	for try := 0; ; try++ {
		pubCtx, cancel := context.WithTimeout(ctx, max(r.cfg.CommitTimeout, time.Second))
		_, err := r.js.PublishMsg(pubCtx, letter, jetstream.WithExpectStream(deadletter.Stream(r.cfg.Stream)))
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			err = fmt.Errorf("%w: create stream %s with subjects dlq.%s.> (binjet init)", err, deadletter.Stream(r.cfg.Stream), r.cfg.Stream)
		}
		r.notLeading(try, fmt.Errorf("store a row that can't be published in the dead-letter stream: %w", err))
		if err := pause.For(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// deadLetters is the row as it was read and why it is here: one message, or parts
// where its payload is larger than the broker takes. Headers that no message can
// hold follow as parts of their own, as the JSON that the table holds.
func (r *Relay) deadLetters(tx *checkpoint.Transaction, bad checkpoint.Invalid) ([]*nats.Msg, error) {
	m := &tx.Messages[bad.Index]
	own := m.Headers
	var rest []byte
	if headerBytes(own) > maxHeaderBytes/2 {
		var err error
		if rest, err = json.Marshal(own); err != nil {
			return nil, fmt.Errorf("encode the headers of event %q: %w", m.ID, err)
		}
		own = nil
	}
	proto := &nats.Msg{Subject: r.deadSubject(m.Topic), Header: r.deadHeader(tx, bad, own)}
	room := int(r.maxPayload()) - proto.Size() - overhead
	if room < 1024 {
		return nil, fmt.Errorf("the broker's max_payload of %d leaves no room for a dead letter", r.maxPayload())
	}
	id := fmt.Sprintf("%s.%s.%d.%s", r.cfg.Name, tx.GTID, tx.Offset+bad.Index, m.ID)
	letters := inParts(proto, m.Payload, room, "", id)
	if rest != nil {
		letters = append(letters, inParts(proto, rest, room, "headers ", id)...)
	}
	return letters, nil
}

func headerBytes(h binjet.Headers) (n int) {
	for name, values := range h {
		n += lineBytes(name, values)
	}
	return n
}

// inParts returns copies of proto that carry data together. A single one of a
// payload is not labelled as a part.
func inParts(proto *nats.Msg, data []byte, room int, label, id string) (letters []*nats.Msg) {
	parts := max(1, (len(data)+room-1)/room)
	for i := range parts {
		letter := &nats.Msg{Subject: proto.Subject, Header: maps.Clone(proto.Header), Data: data[min(i*room, len(data)):min((i+1)*room, len(data))]}
		partID := id
		if parts > 1 || label != "" {
			part := label + strconv.Itoa(i+1) + "/" + strconv.Itoa(parts)
			letter.Header[binjet.HeaderDeadPart] = []string{part}
			partID += "." + part
		}
		letter.Header[jetstream.MsgIDHeader] = []string{deadletter.Reason(partID)}
		letters = append(letters, letter)
	}
	return letters
}

// deadSubject: a topic that is no subject can't be in one.
func (r *Relay) deadSubject(topic string) string {
	if binjet.CheckTopic(topic) != nil {
		topic = "_invalid"
	}
	return deadletter.Subject(r.cfg.Stream, r.cfg.Name, topic)
}

// deadHeader carries the row's own values as far as a header can hold them.
func (r *Relay) deadHeader(tx *checkpoint.Transaction, bad checkpoint.Invalid, own binjet.Headers) nats.Header {
	m := &tx.Messages[bad.Index]
	h := nats.Header{}
	for name, values := range own {
		if !binjet.ReservedHeader(name) {
			h[name] = values
		}
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{deadletter.Reason(value)}
		}
	}
	set(binjet.HeaderID, m.ID)
	set(binjet.HeaderTopic, m.Topic)
	set(binjet.HeaderKey, m.Key)
	set(binjet.HeaderContentType, m.ContentType)
	set(binjet.HeaderSource, r.cfg.Name)
	set(binjet.HeaderTx, tx.GTID.String())
	if !m.CreatedAt.IsZero() {
		set(binjet.HeaderCreatedAt, m.CreatedAt.UTC().Format(binjet.CreatedAtLayout))
	}
	if len(bad.Headers) > 0 && len(bad.Headers) <= 16<<10 {
		h[binjet.HeaderDeadHeaders] = []string{base64.StdEncoding.EncodeToString(bad.Headers)}
	}
	set(binjet.HeaderDeadReason, bad.Reason)
	set(binjet.HeaderDeadAttempts, "0")
	set(binjet.HeaderDeadAt, time.Now().UTC().Format(binjet.CreatedAtLayout))
	return h
}
