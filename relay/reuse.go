package relay

import (
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

// spares are messages to be used again: their headers, a map of slices, are most of what
// a relay would allocate for an event.
type spares chan *nats.Msg

// newSpares has room for those of two batches.
func newSpares() spares { return make(spares, 2*MaxBatchMessages) }

// Headers of ours. The first one is in every message.
const (
	slotSource = iota
	slotID
	slotTopic
	slotKey
	slotContentType
	slotCreatedAt
	slotTx
	slotTxIndex
	slotBatchID
	slotBatchSequence
	slots
)

var slotNames = [slots]string{binjet.HeaderSource, binjet.HeaderID, binjet.HeaderTopic, binjet.HeaderKey, binjet.HeaderContentType,
	binjet.HeaderCreatedAt, binjet.HeaderTx, binjet.HeaderTxIndex, headerBatchID, headerBatchSequence}

// ownHeaders are the headers of ours in a message. Their values are one array, of which the map
// holds pieces of one: to set one that is there already is to store it, without looking for
// it. The array is found behind the first of them. "" is a header that is not there.
type ownHeaders struct {
	header nats.Header
	values []string
}

func newOwn() nats.Header {
	values := make([]string, slots)
	return nats.Header{slotNames[slotSource]: values[:1]}
}

func ownOf(msg *nats.Msg) ownHeaders {
	return ownHeaders{msg.Header, msg.Header[slotNames[slotSource]][:slots]}
}

// set returns how many bytes the header is.
func (o ownHeaders) set(slot int, value string) int {
	name, was := slotNames[slot], o.values[slot]
	o.values[slot] = value
	switch {
	case slot == slotSource: // stays, or the others would be lost
	case value == "" && was != "":
		delete(o.header, name)
	case value != "" && was == "":
		o.header[name] = o.values[slot : slot+1 : slot+1]
	}
	if value == "" {
		return 0
	}
	return len(name) + len(value) + headerLine
}

// isAll reports whether there are no other headers.
func (o ownHeaders) isAll() bool {
	n := 1
	for _, value := range o.values[1:] {
		if value != "" {
			n++
		}
	}
	return n == len(o.header)
}

// take returns a message that is empty but for headers of ours, each of which is to be set.
func (s spares) take() *nats.Msg {
	select {
	case msg := <-s:
		return msg
	default:
		return &nats.Msg{Header: newOwn()}
	}
}

// give takes a message back that nobody looks at any more. Its payload and what came
// with its row are let go at once.
func (s spares) give(msg *nats.Msg) {
	if !ownOf(msg).isAll() {
		for name := range msg.Header {
			if !isOwn(name) {
				delete(msg.Header, name)
			}
		}
	}
	*msg = nats.Msg{Header: msg.Header}
	select {
	case s <- msg:
	default:
	}
}

func isOwn(name string) bool { return slices.Contains(slotNames[:], name) }

// recycle is for a batch that is stored, and of which everybody was told.
func (b *batch) recycle(s spares) {
	for _, msg := range b.msgs {
		s.give(msg)
	}
	b.msgs, b.parts = nil, nil
}

// lineBytes is what a header with its values takes on the wire.
func lineBytes(name string, values []string) (n int) {
	for _, v := range values {
		n += len(name) + len(v) + headerLine
	}
	return n
}
