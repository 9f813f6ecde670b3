package consumer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

// Message is one event as a handler gets it. It belongs to the handler until
// that returns; the payload may not be changed.
type Message struct {
	binjet.Message

	// Source is the name of the database the row was read from.
	Source string
	// Tx is the GTID of the transaction that inserted the row, or where it begins in
	// the binlog of its server, file:offset, where that runs without GTIDs.
	Tx string
	// TxIndex is the event's place among those of its transaction, from 1.
	TxIndex int
	// TxSize is how many events its transaction has; 0 when it was larger than
	// one batch and the relay could not know.
	TxSize int

	// Subject, Sequence and Published say where and when the message lies on the stream.
	Subject   string
	Sequence  uint64
	Published time.Time
	// Attempt is 1 for the first run of the handler, 2 for the first retry, …
	// Deliveries that did not run the handler are not counted as far as this
	// process knows of them; a process that was killed counts.
	Attempt int
	// Handler is the pattern of the handler that the message is for; "" where none is.
	Handler string
	// Replayed is how often the message was a dead letter that was put back; 0 when
	// it comes from the stream itself. Subject, Sequence and Published are those of
	// the first time, also then. A replay does not expire.
	Replayed int
}

// ErrUndecodable is why a message became a dead letter that is no event of the outbox:
// no retry will make it one. A payload that a [Typed] handler can't read is [ErrDiscarded].
var ErrUndecodable = errors.New("not an event of the outbox")

// decode reads the wire contract. It returns as much of the message as could be
// read beside an error, which is always ErrUndecodable.
func decode(m *nats.Msg, prefix string, partitioned bool) (*Message, error) {
	h := m.Header
	msg := &Message{Subject: m.Subject, Source: h.Get(binjet.HeaderSource), Tx: h.Get(binjet.HeaderTx)}
	msg.ID = h.Get(binjet.HeaderID)
	msg.Topic = h.Get(binjet.HeaderTopic)
	if msg.Topic == "" {
		msg.Topic = topicOf(m.Subject, prefix, partitioned)
	}
	msg.Key = h.Get(binjet.HeaderKey)
	msg.ContentType = h.Get(binjet.HeaderContentType)
	msg.Headers = ownHeaders(h)
	msg.Payload = m.Data
	msg.TxIndex, msg.TxSize = parseTxIndex(h.Get(binjet.HeaderTxIndex))
	msg.ExpireAfter = parseTTL(h.Get(binjet.HeaderTTL))
	msg.CreatedAt, _ = time.Parse(time.RFC3339Nano, h.Get(binjet.HeaderCreatedAt))
	if at := h.Get(binjet.HeaderDeliverAt); at != "" {
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return msg, fmt.Errorf("%w: header %s is %q, not RFC 3339", ErrUndecodable, binjet.HeaderDeliverAt, at)
		}
		msg.DeliverAt = t
	}
	return msg, undecodable(msg)
}

// undecodable says why a message is none of the outbox.
func undecodable(msg *Message) error {
	if msg.ID == "" {
		return fmt.Errorf("%w: it has no header %s", ErrUndecodable, binjet.HeaderID)
	}
	if err := msg.CheckRow(); err != nil {
		return fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	return nil
}

// expired reports whether the message is older than it asked to become. The
// broker would have dropped it by now, had it not been handed out before. Its
// clock said when it was published, this process's says what time it is.
func (m *Message) expired(now time.Time) bool {
	return m.ExpireAfter > 0 && now.After(m.Published.Add(m.ExpireAfter))
}

// topicOf takes the topic from the subject.
func topicOf(subject, prefix string, partitioned bool) string {
	topic := strings.TrimPrefix(subject, prefix+".")
	if partitioned {
		_, topic, _ = strings.Cut(topic, ".")
	}
	return topic
}

// ownHeaders are those that the producer set, without those that stand in fields.
func ownHeaders(h nats.Header) binjet.Headers {
	var own binjet.Headers
	for name, values := range h {
		if binjet.ReservedHeader(name) || name == binjet.HeaderContentType {
			continue
		}
		if own == nil {
			own = make(binjet.Headers)
		}
		own[name] = values
	}
	return own
}

// parseTxIndex reads "2/3" and "2/"; anything else is 0, 0.
func parseTxIndex(s string) (index, size int) {
	i, n, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0
	}
	index, err := strconv.Atoi(i)
	if err != nil {
		return 0, 0
	}
	size, _ = strconv.Atoi(n)
	return index, size
}

// parseTTL reads what the broker takes: seconds or a duration. "never" and anything else is 0.
func parseTTL(s string) time.Duration {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	d, _ := time.ParseDuration(s)
	return d
}
