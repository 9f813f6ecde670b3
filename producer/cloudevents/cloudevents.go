// Package cloudevents makes CloudEvents of messages, in binary mode: the attributes
// are headers and the payload is the data, as it is. A consumer that knows nothing
// of CloudEvents sees a message with a few headers more.
//
//	events, err := cloudevents.New(cloudevents.Config{Source: "/shop/orders"})
//	outbox, err := producer.New(producer.Config{Middleware: []producer.Middleware{events}})
//
// The headers are those of the NATS protocol binding 1.0.3-wip, ce-id, ce-type and
// so on, percent-encoded as it says; version 1.0.2, the last that was released, is
// older than headers of NATS and knows structured mode only. The binding has the
// content type in ce-datacontenttype; binjet writes it to Content-Type too, where
// codecs and the bindings of other protocols look for it. The Go SDK of CloudEvents
// reads such messages, but does not decode what is percent-encoded.
package cloudevents

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/binjet/binjet"
)

// SpecVersion is the version of CloudEvents that is written.
const SpecVersion = "1.0"

// prefix is that of all headers that are attributes.
const prefix = "ce-"

// structured is how the content types of structured mode begin.
const structured = "application/cloudevents"

// Config says what the attributes are.
type Config struct {
	// Source says where events come from, by a URI or a part of one, such as
	// "https://shop.example/orders" or "/shop/orders". Source and ID together are
	// unique. Required.
	Source string

	// Type names the kind of event, such as "com.example.shop.orders.created".
	// Default: the message's topic.
	Type func(m *binjet.Message) string

	// Subject is what the event is about, within Source. Empty is none. Default: the
	// message's key.
	Subject func(m *binjet.Message) string
}

// New returns middleware for producer.Config that writes the attributes id, source,
// specversion, type, time, subject and datacontenttype. time is the producer's
// clock. What a message has set itself (ce-type, [Extension]) stays. A message
// whose content type is application/cloudevents… is one in structured mode already,
// and is left as it is.
func New(cfg Config) (func(ctx context.Context, m *binjet.Message) error, error) {
	u, err := url.Parse(cfg.Source)
	switch {
	case cfg.Source == "":
		return nil, errors.New("cloudevents config: Source is empty, and is required")
	case err != nil:
		return nil, fmt.Errorf("cloudevents config: Source is no URI reference: %w", err)
	case u.Fragment != "":
		return nil, fmt.Errorf("cloudevents config: Source %q has a fragment", cfg.Source)
	}
	if cfg.Type == nil {
		cfg.Type = func(m *binjet.Message) string { return m.Topic }
	}
	if cfg.Subject == nil {
		cfg.Subject = func(m *binjet.Message) string { return m.Key }
	}
	return cfg.write, nil
}

func (c Config) write(_ context.Context, m *binjet.Message) error {
	if len(m.ContentType) >= len(structured) && strings.EqualFold(m.ContentType[:len(structured)], structured) {
		return nil
	}
	for name := range m.Headers {
		if attribute, is := attributeOf(name); is {
			if err := checkName(attribute); err != nil {
				return err
			}
		}
	}
	if m.Headers == nil {
		m.Headers = binjet.Headers{}
	}
	for _, a := range [...]struct{ name, value string }{
		{"specversion", SpecVersion},
		{"id", m.ID},
		{"source", c.Source},
		{"type", c.Type(m)},
		{"time", m.CreatedAt.UTC().Format(time.RFC3339Nano)},
		{"subject", c.Subject(m)},
		{"datacontenttype", m.ContentType},
	} {
		if a.value != "" && m.Headers[prefix+a.name] == nil {
			m.Headers.Set(prefix+a.name, encode(a.value))
		}
	}
	if m.Headers.Get(prefix+"type") == "" {
		return errors.New("cloudevents: the type is empty")
	}
	return nil
}

// Extension is an option of a typed producer's insert that sets an attribute of
// the message: one of an extension, or one that would be set otherwise. Names are
// lower-case letters and digits.
func Extension(name, value string) func(m *binjet.Message) {
	return func(m *binjet.Message) {
		if m.Headers == nil {
			m.Headers = binjet.Headers{}
		}
		m.Headers.Set(prefix+name, encode(value))
	}
}

// attributeOf returns the attribute that a header is, if it is one. Names of
// headers may be written in any case.
func attributeOf(header string) (string, bool) {
	if len(header) < len(prefix) || !strings.EqualFold(header[:len(prefix)], prefix) {
		return "", false
	}
	return header[len(prefix):], true
}

func checkName(attribute string) error {
	for _, c := range attribute {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return fmt.Errorf("cloudevents: attribute %q holds %q: only lower-case letters and digits are allowed", attribute, c)
		}
	}
	if attribute == "" {
		return errors.New("cloudevents: a header ce- has no attribute's name")
	}
	return nil
}
