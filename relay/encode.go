package relay

import (
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
)

// overhead is what the batch headers and framing add to a message at most.
const overhead = 160

// maxHeaderBytes leaves room for the batch headers in what the broker takes, 64 KiB.
const maxHeaderBytes = 64<<10 - 1 - overhead

// encoder turns messages into what goes on the wire.
type encoder struct {
	source, prefix string
	partitions     int
	maxPayload     func() int64 // what broker and stream take of an event; it may change on reconnect
}

// encode returns the message as it will be published, without the batch
// headers, and its size. total is the number of events in the transaction, 0 when
// it is larger than a batch. The error is why the broker would refuse it.
func (e *encoder) encode(tx *checkpoint.Transaction, i, total int) (*nats.Msg, int, error) {
	m := &tx.Messages[i]
	h := make(nats.Header, len(m.Headers)+10)
	for name, values := range m.Headers {
		h[name] = values
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set(binjet.HeaderID, m.ID)
	set(binjet.HeaderTopic, m.Topic)
	set(binjet.HeaderKey, m.Key)
	set(binjet.HeaderSource, e.source)
	set(binjet.HeaderContentType, m.ContentType)
	if !m.CreatedAt.IsZero() {
		set(binjet.HeaderCreatedAt, m.CreatedAt.UTC().Format(binjet.CreatedAtLayout))
	}
	if !tx.GTID.IsZero() {
		set(binjet.HeaderTx, tx.GTID.String())
		set(binjet.HeaderTxIndex, txIndex(tx.Offset+i+1, total))
	}
	msg := &nats.Msg{Subject: binjet.Subject(e.prefix, m.Topic, m.Key, e.partitions), Header: h, Data: m.Payload}
	size := msg.Size() + overhead
	if n, limit := int64(size-len(msg.Subject)), e.maxPayload(); limit > 0 && n > limit { // the broker does not count the subject
		return nil, 0, fmt.Errorf("it is %d bytes with its headers and those of its batch, more than the %d that the broker takes (the stream's max_msg_size, or max_payload less %d for what a dead letter adds)",
			n, limit, deadletter.Room)
	}
	if n := size - overhead - len(msg.Subject) - len(msg.Data); n > maxHeaderBytes-deadletter.Room {
		return nil, 0, fmt.Errorf("its headers are %d bytes, more than the %d that the broker takes of a message that may become a dead letter", n, maxHeaderBytes-deadletter.Room)
	}
	if ttl, ok := h[binjet.HeaderTTL]; ok && !validTTL(ttl) {
		return nil, 0, fmt.Errorf("its header %s is %q, which the broker refuses: give whole seconds", binjet.HeaderTTL, ttl)
	}
	return msg, size, nil
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

func txIndex(n, total int) string {
	if total == 0 {
		return strconv.Itoa(n) + "/"
	}
	return strconv.Itoa(n) + "/" + strconv.Itoa(total)
}
