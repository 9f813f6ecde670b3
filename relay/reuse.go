package relay

import (
	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

// spares are messages to be used again: their headers, a map of slices, are most of what
// a relay would allocate for an event.
type spares chan *nats.Msg

// newSpares has room for those of two batches.
func newSpares() spares { return make(spares, 2*MaxBatchMessages) }

// take returns a message that is empty but for headers of ours, whose values are to be
// set or deleted.
func (s spares) take() *nats.Msg {
	select {
	case msg := <-s:
		return msg
	default:
		return &nats.Msg{Header: make(nats.Header, 14)}
	}
}

// give takes a message back that nobody looks at any more. Its payload and what came
// with its row are let go at once.
func (s spares) give(msg *nats.Msg) {
	for name := range msg.Header {
		if !stays(name) {
			delete(msg.Header, name)
		}
	}
	*msg = nats.Msg{Header: msg.Header}
	select {
	case s <- msg:
	default:
	}
}

// recycle is for a batch that is stored, and of which everybody was told.
func (b *batch) recycle(s spares) {
	for _, msg := range b.msgs {
		s.give(msg)
	}
	b.msgs, b.parts = nil, nil
}

// stays: a header whose values are ours, in every event.
func stays(name string) bool {
	switch name {
	case binjet.HeaderID, binjet.HeaderTopic, binjet.HeaderKey, binjet.HeaderSource, binjet.HeaderContentType,
		binjet.HeaderCreatedAt, binjet.HeaderTx, binjet.HeaderTxIndex:
		return true
	}
	return false
}

// setHeader sets one that stays, and returns how many bytes it is; without a value it
// is not there.
func setHeader(h nats.Header, name, value string) int {
	if value == "" {
		delete(h, name)
		return 0
	}
	if values := h[name]; len(values) == 1 {
		values[0] = value
	} else {
		h[name] = []string{value}
	}
	return len(name) + len(value) + headerLine
}

// lineBytes is what a header with its values takes on the wire.
func lineBytes(name string, values []string) (n int) {
	for _, v := range values {
		n += len(name) + len(v) + headerLine
	}
	return n
}
