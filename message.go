package binjet

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of the outbox table's columns and of the stream, in bytes.
const (
	MaxIDLength    = 64
	MaxTopicLength = 255
	MaxKeyLength   = 255 // characters
	// DefaultMaxBytes bounds payload and headers of one message together. It
	// leaves 64 KiB of the broker's default max_payload (1 MiB) for what binjet adds.
	DefaultMaxBytes = 1<<20 - 64<<10
)

// Message is one event: what a service inserts, what lies on the stream, and
// what a handler gets.
type Message struct {
	// ID identifies the event for ever; consumers dedupe by it. At most 64
	// printable ASCII characters without space. The producer sets a UUIDv7 when empty.
	ID string
	// Topic is the tail of the subject, such as "orders.created". See [CheckTopic].
	Topic string
	// Key orders: messages of one key are handled in commit order where the
	// consumer asks for it. Usually the aggregate's ID. Empty means none (NULL).
	Key string
	// ContentType says how Payload is encoded, such as "application/json". Empty means unsaid.
	ContentType string
	// Headers are the message's own. Names of the broker and of binjet are refused.
	Headers Headers
	// Payload is the body. It may not be empty.
	Payload []byte

	// ExpireAfter drops the message from the stream this long after it was
	// published. 0 keeps it as long as the stream keeps it. Whole seconds, at least 1 s.
	ExpireAfter time.Duration
	// DeliverAt holds back handlers of the SDK until then. Zero means at once.
	DeliverAt time.Time

	// CreatedAt is when the row was inserted. The database sets it.
	CreatedAt time.Time
}

// ErrInvalid is what every fault found by [Message.Validate] is, through errors.Is.
var ErrInvalid = errors.New("invalid message")

// ValidationError lists all faults of one message.
type ValidationError struct {
	ID, Topic string
	Faults    []string
}

func (e *ValidationError) Error() string {
	what := "message"
	if e.ID != "" {
		what += " " + strconv.Quote(e.ID)
	}
	if e.Topic != "" {
		what += " on topic " + strconv.Quote(e.Topic)
	}
	return what + ": " + strings.Join(e.Faults, "; ")
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *ValidationError) Is(target error) bool { return target == ErrInvalid }

// Validate reports every fault of m at once as a *[ValidationError], nil when
// there is none. maxBytes bounds payload and headers together; 0 is
// [DefaultMaxBytes]. An empty ID is no fault: the producer sets one.
func (m *Message) Validate(maxBytes int) error {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	var faults []string
	add := func(fault string) {
		if fault != "" {
			faults = append(faults, fault)
		}
	}
	if m.ID != "" {
		add(checkID(m.ID))
	}
	if err := CheckTopic(m.Topic); err != nil {
		add(err.Error())
	}
	add(checkKey(m.Key))
	add(checkTimes(m))
	size := len(m.Payload)
	if size == 0 {
		add("payload is empty")
	}
	if m.ContentType != "" {
		add(checkHeader(HeaderContentType, []string{m.ContentType}))
	}
	for _, name := range sortedNames(m.Headers) {
		size += headerSize(name, m.Headers[name])
		add(checkOwnHeader(name, m.Headers[name], m.ContentType))
	}
	if size > maxBytes {
		add(fmt.Sprintf("payload and headers are %d bytes, more than the %d allowed", size, maxBytes))
	}
	if faults == nil {
		return nil
	}
	return &ValidationError{ID: m.ID, Topic: m.Topic, Faults: faults}
}

func checkOwnHeader(name string, values []string, contentType string) string {
	switch {
	case ReservedHeader(name):
		return fmt.Sprintf("header %q is reserved: names that begin with Outbox- or Nats- belong to binjet and the broker", name)
	case name == HeaderContentType && contentType != "":
		return "header Content-Type is set beside ContentType: set one of them"
	}
	return checkHeader(name, values)
}

func headerSize(name string, values []string) int {
	n := 0
	for _, v := range values {
		n += len(name) + len(v) + 4
	}
	return n
}

func checkID(id string) string {
	switch {
	case id == "":
		return "ID is empty"
	case len(id) > MaxIDLength:
		return fmt.Sprintf("ID is %d bytes, more than %d", len(id), MaxIDLength)
	case strings.IndexFunc(id, notPrintable) >= 0:
		return fmt.Sprintf("ID %q holds white space, a control or a non-ASCII character", id)
	}
	return ""
}

func notPrintable(r rune) bool { return r <= ' ' || r >= 0x7f }

func checkKey(key string) string {
	switch {
	case !utf8.ValidString(key):
		return "key is not valid UTF-8"
	case utf8.RuneCountInString(key) > MaxKeyLength:
		return fmt.Sprintf("key is %d characters, more than %d", utf8.RuneCountInString(key), MaxKeyLength)
	case strings.ContainsAny(key, "\r\n\x00"):
		return "key holds a line break or NUL, which a header can't carry"
	case strings.TrimSpace(key) != key:
		return "key begins or ends with white space, which a header can't carry"
	}
	return ""
}

func checkTimes(m *Message) string {
	switch {
	case m.ExpireAfter == 0:
	case m.ExpireAfter < time.Second:
		return fmt.Sprintf("ExpireAfter %s is less than a second, the broker's smallest", m.ExpireAfter)
	case m.ExpireAfter%time.Second != 0:
		return fmt.Sprintf("ExpireAfter %s is not a whole number of seconds", m.ExpireAfter)
	case !m.DeliverAt.IsZero() && !m.CreatedAt.IsZero() && m.DeliverAt.Sub(m.CreatedAt) >= m.ExpireAfter:
		return "the message would expire before DeliverAt"
	}
	return ""
}

// CheckRow reports every fault that would keep a message read from an outbox
// row from being published. It is wider than what a producer refuses: its size
// is the broker's business, and its headers were checked by [DecodeHeaders].
func (m *Message) CheckRow() error {
	var faults []string
	for _, fault := range []string{checkID(m.ID), checkKey(m.Key)} {
		if fault != "" {
			faults = append(faults, fault)
		}
	}
	if err := CheckTopic(m.Topic); err != nil {
		faults = append(faults, err.Error())
	}
	if faults == nil {
		return nil
	}
	return &ValidationError{ID: m.ID, Topic: m.Topic, Faults: faults}
}
