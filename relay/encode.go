package relay

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
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

// encoder turns messages into what goes on the wire.
type encoder struct {
	source, prefix string
	partitions     int
	maxPayload     func() int64 // the broker's, which may change on reconnect
}

// encode returns the message as it will be published, without the batch
// headers, and its size. total is the number of events in the transaction, 0 when
// it is larger than a batch.
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
	if limit := e.maxPayload(); limit > 0 && int64(size-len(msg.Subject)) > limit {
		return nil, 0, &checkpoint.HaltError{
			Problem: fmt.Sprintf("event %s of transaction %s is %d bytes with its headers, more than the broker's max_payload of %d", m.ID, tx.GTID, size, limit),
			Hint:    "Raise max_payload in the broker's configuration (it reloads without a restart) and start again; nothing of this transaction was published",
		}
	}
	return msg, size, nil
}

func txIndex(n, total int) string {
	if total == 0 {
		return strconv.Itoa(n) + "/"
	}
	return strconv.Itoa(n) + "/" + strconv.Itoa(total)
}
