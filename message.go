package binjet

import (
	"errors"
	"fmt"
	"sort"
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
	// Microseconds count, what is finer is cut off.
	DeliverAt time.Time

	// CreatedAt is when the row was inserted. The database sets it; what stands here is not inserted.
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
		what += " " + clip(e.ID)
	}
	if e.Topic != "" {
		what += " on topic " + clip(e.Topic)
	}
	return what + ": " + strings.Join(e.Faults, "; ")
}

// clip quotes s, which nobody checked, at a length fit for a log line.
func clip(s string) string {
	if len(s) <= MaxTopicLength {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:MaxTopicLength]) + "…"
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
	if m.ID != "" {
		faults = addFault(faults, checkID(m.ID))
	}
	if err := CheckTopic(m.Topic); err != nil {
		faults = append(faults, err.Error())
	}
	faults = addFault(faults, checkKey(m.Key))
	faults = addFault(faults, checkExpiry(m))
	faults = addFault(faults, checkDeliverAt(m.DeliverAt))
	if len(m.Payload) == 0 {
		faults = append(faults, "payload is empty")
	}
	faults = append(faults, m.headerFaults()...)
	if size := len(m.Payload) + m.headerSize(); size > maxBytes {
		faults = append(faults, fmt.Sprintf("payload and headers are %d bytes, more than the %d allowed", size, maxBytes))
	}
	if faults == nil {
		return nil
	}
	return &ValidationError{ID: m.ID, Topic: m.Topic, Faults: faults}
}

func addFault(faults []string, fault string) []string {
	if fault == "" {
		return faults
	}
	return append(faults, fault)
}

// headerFaults are in the order of the headers' names, whatever that of the map.
func (m *Message) headerFaults() []string {
	var faults []string
	for name, values := range m.Headers {
		faults = addFault(faults, checkOwnHeader(name, values, m.ContentType))
	}
	sort.Strings(faults)
	if m.ContentType != "" {
		faults = addFault(faults, checkValue(HeaderContentType, m.ContentType))
	}
	return faults
}

// headerSize is what the headers of m's row will take on the stream.
func (m *Message) headerSize() int {
	n := 0
	for name, values := range m.Headers {
		for _, v := range values {
			n += headerLine(name, len(v))
		}
	}
	if m.ContentType != "" {
		n += headerLine(HeaderContentType, len(m.ContentType))
	}
	if m.ExpireAfter != 0 {
		n += headerLine(HeaderTTL, 12)
	}
	if !m.DeliverAt.IsZero() {
		n += headerLine(HeaderDeliverAt, len(CreatedAtLayout))
	}
	return n
}

// headerLine is the size of "name: value\r\n".
func headerLine(name string, value int) int { return len(name) + value + 4 }

func checkOwnHeader(name string, values []string, contentType string) string {
	switch {
	case ReservedHeader(name):
		return fmt.Sprintf("header %s is reserved: names that begin with Outbox- or Nats- belong to binjet and the broker", clip(name))
	case contentType != "" && strings.EqualFold(name, HeaderContentType):
		return fmt.Sprintf("header %q is set beside ContentType: set one of them", name)
	}
	return checkHeader(name, values)
}

func checkID(id string) string {
	switch {
	case id == "":
		return "ID is empty"
	case len(id) > MaxIDLength:
		return fmt.Sprintf("ID is %d bytes, more than %d", len(id), MaxIDLength)
	case !printable(id):
		return fmt.Sprintf("ID %q holds white space, a control or a non-ASCII character", id)
	}
	return ""
}

func notPrintable(r rune) bool { return r <= ' ' || r >= 0x7f }

// printable is what [notPrintable] is not of any character, without decoding them.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func checkKey(key string) string {
	switch {
	case !utf8.ValidString(key):
		return "key is not valid UTF-8"
	case utf8.RuneCountInString(key) > MaxKeyLength:
		return fmt.Sprintf("key is %d characters, more than %d", utf8.RuneCountInString(key), MaxKeyLength)
	case breaksHeader(key):
		return "key holds a line break or NUL, which a header can't carry"
	case strings.TrimSpace(key) != key:
		return "key begins or ends with white space, which a header can't carry"
	}
	return ""
}

func checkExpiry(m *Message) string {
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

func checkDeliverAt(t time.Time) string {
	if year := t.UTC().Year(); !t.IsZero() && (year < 1 || year > 9999) {
		return fmt.Sprintf("DeliverAt is in the year %d, which RFC 3339 can't write", year)
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
