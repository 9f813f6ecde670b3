// Package event is an event of the stream, or a dead letter, as the command prints
// it: one form for all commands, so that a program that reads one reads all.
package event

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/cmd/binjet/internal/payload"
	"github.com/binjet/binjet/consumer"
)

// Event is what is printed of a message.
type Event struct {
	ID        string    `json:"id"`
	Topic     string    `json:"topic"`
	Key       string    `json:"key,omitempty"`
	Source    string    `json:"source,omitempty"`
	Tx        string    `json:"tx,omitempty"`
	TxIndex   string    `json:"tx_index,omitempty"`
	Created   time.Time `json:"created_at,omitzero"`
	Published time.Time `json:"published_at,omitzero"`
	Sequence  uint64    `json:"sequence,omitempty"`
	Subject   string    `json:"subject,omitempty"`

	ContentType string          `json:"content_type,omitempty"`
	Headers     binjet.Headers  `json:"headers,omitempty"`
	Bytes       int             `json:"bytes"`
	Payload     payload.Payload `json:"payload"`
}

// Of makes one of a message.
func Of(m *consumer.Message) Event {
	e := Event{ID: m.ID, Topic: m.Topic, Key: m.Key, Source: m.Source, Tx: m.Tx, Created: m.CreatedAt,
		Published: m.Published, Sequence: m.Sequence, Subject: m.Subject, ContentType: m.ContentType, Headers: m.Headers,
		Bytes: len(m.Payload), Payload: payload.Read(m.ContentType, m.Payload)}
	if m.TxIndex > 0 {
		e.TxIndex = fmt.Sprintf("%d/", m.TxIndex)
		if m.TxSize > 0 {
			e.TxIndex += fmt.Sprint(m.TxSize)
		}
	}
	return e
}

// Text prints it: a line that can be searched for, the headers, the payload.
func (e Event) Text(w io.Writer) error {
	line := e.Topic + "  id=" + e.ID
	if e.Sequence > 0 { // a row that a relay quarantined never lay on the stream
		line = fmt.Sprintf("%s  #%d  %s", e.Published.UTC().Format("2006-01-02T15:04:05.000Z"), e.Sequence, line)
	}
	for _, part := range [][2]string{{"key", e.Key}, {"source", e.Source}, {"tx", e.Tx}, {"", e.TxIndex}} {
		switch {
		case part[1] == "":
		case part[0] == "":
			line += " " + part[1]
		default:
			line += "  " + part[0] + "=" + part[1]
		}
	}
	text := payload.Clean(line) + "\n"
	text += HeaderLines(e.Headers)
	text += Indent(e.Payload.String()) + "\n"
	_, err := io.WriteString(w, text)
	return err
}

// HeaderLines are the message's own headers, indented, in order of their names.
func HeaderLines(h binjet.Headers) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			b.WriteString(payload.Clean("  "+name+": "+v) + "\n")
		}
	}
	return b.String()
}

// Indent puts every line two places in.
func Indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// FromStream makes one of a message as the stream has it. What the headers do not
// say stays empty: also what no relay published is shown.
func FromStream(msg jetstream.Msg, meta *jetstream.MsgMetadata, prefix string, partitioned bool) Event {
	h := msg.Headers()
	e := Event{ID: h.Get(binjet.HeaderID), Topic: h.Get(binjet.HeaderTopic), Key: h.Get(binjet.HeaderKey), Source: h.Get(binjet.HeaderSource),
		Tx: h.Get(binjet.HeaderTx), TxIndex: h.Get(binjet.HeaderTxIndex), Published: meta.Timestamp, Sequence: meta.Sequence.Stream,
		Subject: msg.Subject(), ContentType: h.Get(binjet.HeaderContentType), Bytes: len(msg.Data())}
	if e.Topic == "" {
		e.Topic = strings.TrimPrefix(e.Subject, prefix+".")
		if partitioned {
			_, e.Topic, _ = strings.Cut(e.Topic, ".")
		}
	}
	e.Created, _ = time.Parse(time.RFC3339Nano, h.Get(binjet.HeaderCreatedAt))
	for name, values := range h {
		if binjet.ReservedHeader(name) || name == binjet.HeaderContentType {
			continue
		}
		if e.Headers == nil {
			e.Headers = make(binjet.Headers)
		}
		e.Headers[name] = values
	}
	e.Payload = payload.Read(e.ContentType, msg.Data())
	return e
}
