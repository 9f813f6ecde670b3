package binjet

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Headers that binjet writes on every event of the stream.
const (
	HeaderID          = "Outbox-Id"         // message ID, what consumers dedupe by
	HeaderTopic       = "Outbox-Topic"      // the row's topic
	HeaderKey         = "Outbox-Key"        // the row's ordering key; absent when it is NULL
	HeaderSource      = "Outbox-Source"     // name of the source the row was read from
	HeaderTx          = "Outbox-Tx"         // GTID of the transaction that inserted the row; without GTIDs binlog.000003:1234, where it begins
	HeaderTxIndex     = "Outbox-Tx-Index"   // "2/3": second of three; "2/" when the transaction is larger than a batch
	HeaderCreatedAt   = "Outbox-Created-At" // RFC 3339 with microseconds, UTC
	HeaderContentType = "Content-Type"      // as the producer set it
	HeaderDeliverAt   = "Outbox-Deliver-At" // RFC 3339: do not handle before; written by the producer
	HeaderTTL         = "Nats-TTL"          // the broker drops the message after this; written by the producer
)

// Headers that a dead letter carries beside those of the message it was.
const (
	HeaderDeadReason     = "Outbox-Dead-Reason"
	HeaderDeadAttempts   = "Outbox-Dead-Attempts"
	HeaderDeadAt         = "Outbox-Dead-At"
	HeaderDeadConsumer   = "Outbox-Dead-Consumer" // who gave a message up; absent where a relay quarantined a row
	HeaderDeadStack      = "Outbox-Dead-Stack"    // of a handler's panic, its lines parted by " | "
	HeaderDeadReplays    = "Outbox-Dead-Replays"  // how often it was replayed before; also on a replay
	HeaderOriginSubject  = "Outbox-Origin-Subject"
	HeaderOriginSequence = "Outbox-Origin-Sequence"
	HeaderOriginTime     = "Outbox-Origin-Time"  // when it was published first, RFC 3339
	HeaderDeadHeaders    = "Outbox-Dead-Headers" // a row's headers column that could not be read, base64
	HeaderDeadPart       = "Outbox-Dead-Part"    // "2/3": a payload larger than a message, in parts; "headers 1/1": its headers
)

// CreatedAtLayout is how [HeaderCreatedAt] is written: RFC 3339, microseconds, UTC.
const CreatedAtLayout = "2006-01-02T15:04:05.000000Z"

// Headers are a message's own headers: a name may have several values. Names are
// case-sensitive, as they are for NATS.
type Headers map[string][]string

// Get returns the first value of name, "" when there is none.
func (h Headers) Get(name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set replaces the values of name. It panics on a nil map, as a map does.
func (h Headers) Set(name, value string) { h[name] = []string{value} }

// Keys returns the names. With Get and Set it makes Headers a TextMapCarrier of OpenTelemetry.
func (h Headers) Keys() []string {
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Clone returns a deep copy; nil stays nil.
func (h Headers) Clone() Headers {
	if h == nil {
		return nil
	}
	c := make(Headers, len(h))
	for k, v := range h {
		c[k] = append([]string(nil), v...)
	}
	return c
}

// ReservedHeader reports whether name belongs to binjet or to the broker
// (Outbox-*, Nats-*, in any case) and so may not be set by a user.
func ReservedHeader(name string) bool {
	return hasPrefixFold(name, "Outbox-") || hasPrefixFold(name, "Nats-")
}

// CheckHeader reports why a message can't have a header of this name with this
// value. That a name is reserved is not looked at: see [ReservedHeader].
func CheckHeader(name, value string) error {
	if isToken(name) && checkValue(name, value) == "" {
		return nil
	}
	return errors.New(checkHeader(name, []string{value}))
}

// rowHeader reports whether a reserved header may stand in an outbox row all
// the same, because the producer library writes it there.
func rowHeader(name string) bool { return name == HeaderTTL || name == HeaderDeliverAt }

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// checkHeader returns what is wrong with one header, "" when nothing is. NATS
// frames headers by CRLF and the first colon.
func checkHeader(name string, values []string) string {
	switch {
	case name == "":
		return "a header has no name"
	case !isToken(name):
		return fmt.Sprintf("header name %s holds more than letters, digits and !#$%%&'*+-.^_`|~, which is all that NATS clients send", clip(name))
	case len(values) == 0:
		return fmt.Sprintf("header %s has no value", clip(name))
	}
	for _, v := range values {
		if fault := checkValue(name, v); fault != "" {
			return fault
		}
	}
	return ""
}

func checkValue(name, v string) string {
	switch {
	case breaksHeader(v):
		return fmt.Sprintf("a value of header %s holds a line break or NUL", clip(name))
	case !utf8.ValidString(v):
		return fmt.Sprintf("a value of header %s is not valid UTF-8", clip(name))
	case strings.TrimSpace(v) != v:
		return fmt.Sprintf("a value of header %s begins or ends with white space, which the broker would drop", clip(name))
	}
	return ""
}

// breaksHeader reports whether v holds a line break or NUL.
func breaksHeader(v string) bool {
	for i := range len(v) {
		if c := v[i]; c == '\r' || c == '\n' || c == 0 {
			return true
		}
	}
	return false
}

// isToken reports whether name is a token of RFC 9110. nats.go refuses to send others.
func isToken(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-':
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0:
			return false
		}
	}
	return name != ""
}
