package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/deadletter"
)

// Headers of the broker that the publisher sets.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
	headerExpectedSeq   = "Nats-Expected-Last-Subject-Sequence"
	headerRollup        = "Nats-Rollup"

	// Of an event by itself: the expected sequence is that of another subject.
	headerExpectedSubject = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerExpectedLast    = "Nats-Expected-Last-Sequence"
)

// overhead is what the batch headers and framing add to a message at most.
const overhead = 160

// What headers take on the wire beside names and values, each and all of them.
const (
	headerLine  = len(": \r\n")
	headerFrame = len("NATS/1.0\r\n\r\n")
)

// maxHeaderBytes leaves room for the batch headers in what the broker takes, 64 KiB.
const maxHeaderBytes = 64<<10 - 1 - overhead

// encoder turns messages into what goes on the wire. One goroutine uses it.
type encoder struct {
	source, prefix string
	partitions     int
	maxPayload     func() int64 // what broker and stream take of an event; it may change on reconnect

	spares   spares
	gtid     checkpoint.GTID // the last one, as gtidText
	gtidText string
	topic    string // the last one, in subject, where the key has no part in that
	subject  string
	created  seconds
	text     []byte // room for what is formatted
}

// encode returns the message as it will be published, without the batch
// headers, and its size. total is the number of events in the transaction, 0 when
// it is larger than a batch. The error is why the broker would refuse it.
func (e *encoder) encode(tx *checkpoint.Transaction, i, total int) (*nats.Msg, int, error) {
	m := &tx.Messages[i]
	msg := e.spares.take()
	msg.Subject, msg.Data = e.subjectOf(m), m.Payload
	h, o := msg.Header, ownOf(msg)
	headers := headerFrame + e.setOwn(o, m) + e.setFormatted(o, tx, i, total)
	for name, values := range m.Headers {
		if name != binjet.HeaderContentType {
			if isOwn(name) {
				return nil, 0, fmt.Errorf("its header %s is one that binjet sets", name)
			}
			h[name] = values
			headers += lineBytes(name, values)
		} else if m.ContentType == "" && len(values) > 0 {
			headers += o.set(slotContentType, values[0])
		}
	}
	size := len(msg.Subject) + headers + len(msg.Data) + overhead
	if n, limit := int64(size-len(msg.Subject)), e.maxPayload(); limit > 0 && n > limit { // the broker does not count the subject
		return nil, 0, &tooLargeError{n, limit}
	}
	if headers > maxHeaderBytes-deadletter.Room {
		return nil, 0, fmt.Errorf("its headers are %d bytes, more than the %d that the broker takes of a message that may become a dead letter", headers, maxHeaderBytes-deadletter.Room)
	}
	if ttl, ok := h[binjet.HeaderTTL]; ok && !validTTL(ttl) {
		return nil, 0, fmt.Errorf("its header %s is %q, which the broker refuses: give whole seconds", binjet.HeaderTTL, ttl)
	}
	return msg, size, nil
}

// setOwn sets the headers that are parts of m, and returns how many bytes they are.
func (e *encoder) setOwn(o ownHeaders, m *binjet.Message) int {
	return o.set(slotSource, e.source) + o.set(slotID, m.ID) + o.set(slotTopic, m.Topic) + o.set(slotKey, m.Key) +
		o.set(slotContentType, m.ContentType)
}

// tooLargeError is by the limits as they were known.
type tooLargeError struct{ bytes, limit int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("it is %d bytes with its headers and those of its batch, more than the %d that the broker takes (the stream's max_msg_size, or max_payload less %d for what a dead letter adds)",
		e.bytes, e.limit, deadletter.Room)
}

func isTooLarge(err error) bool {
	var e *tooLargeError
	return errors.As(err, &e)
}

// subjectOf remembers the last one: most tables have few topics.
func (e *encoder) subjectOf(m *binjet.Message) string {
	if e.partitions > 0 {
		return binjet.Subject(e.prefix, m.Topic, m.Key, e.partitions)
	}
	if e.subject == "" || e.topic != m.Topic {
		e.topic, e.subject = m.Topic, binjet.Subject(e.prefix, m.Topic, "", 0)
	}
	return e.subject
}

// setFormatted sets the headers that are made of times and numbers, whose text is one
// allocation, and returns how many bytes they are.
func (e *encoder) setFormatted(o ownHeaders, tx *checkpoint.Transaction, i, total int) int {
	e.text = e.text[:0]
	if at := tx.Messages[i].CreatedAt; !at.IsZero() {
		e.text = e.created.append(e.text, at)
	}
	created := len(e.text)
	if !tx.GTID.IsZero() {
		e.text = append(strconv.AppendInt(e.text, int64(tx.Offset+i+1), 10), '/')
		if total > 0 {
			e.text = strconv.AppendInt(e.text, int64(total), 10)
		}
	}
	index := len(e.text)
	if tx.GTID != e.gtid {
		e.text = tx.GTID.Append(e.text)
	}
	text := string(e.text)
	if tx.GTID != e.gtid {
		e.gtid, e.gtidText = tx.GTID, text[index:]
	}
	return o.set(slotCreatedAt, text[:created]) + o.set(slotTxIndex, text[created:index]) + o.set(slotTx, e.gtidText)
}

// seconds writes times as [binjet.CreatedAtLayout] says, and remembers the last second: most
// of a second's events differ in microseconds only.
type seconds struct {
	last int64
	text string // of it, up to the fraction
}

func (s *seconds) append(b []byte, at time.Time) []byte {
	at = at.UTC()
	if second := at.Unix(); second != s.last || s.text == "" {
		s.last, s.text = second, at.Format(time.RFC3339)
		s.text = s.text[:len(s.text)-len("Z")]
	}
	b = append(b, s.text...)
	point := len(b)
	b = strconv.AppendInt(b, int64(1e6+at.Nanosecond()/1000), 10) // seven digits
	b[point] = '.'
	return append(b, 'Z')
}

// validTTL reports whether nats-server takes the header: "never", a duration of
// at least a second, or a number of seconds (parseMessageTTL there).
func validTTL(values []string) bool {
	if len(values) != 1 {
		return false
	}
	if strings.EqualFold(values[0], "never") {
		return true
	}
	if d, err := time.ParseDuration(values[0]); err == nil {
		return d >= time.Second
	}
	_, err := strconv.ParseUint(values[0], 10, 31)
	return err == nil
}
