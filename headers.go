package binjet

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// Headers that binjet writes on every event of the stream.
const (
	HeaderID          = "Outbox-Id"         // message ID, what consumers dedupe by
	HeaderTopic       = "Outbox-Topic"      // the row's topic
	HeaderKey         = "Outbox-Key"        // the row's ordering key; absent when it is NULL
	HeaderSource      = "Outbox-Source"     // name of the source the row was read from
	HeaderTx          = "Outbox-Tx"         // GTID of the transaction that inserted the row
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
	HeaderOriginSubject  = "Outbox-Origin-Subject"
	HeaderOriginSequence = "Outbox-Origin-Sequence"
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
	case strings.IndexFunc(name, notToken) >= 0:
		return fmt.Sprintf("header name %q holds a colon, white space, a control or a non-ASCII character", name)
	case len(values) == 0:
		return fmt.Sprintf("header %q has no value", name)
	}
	for _, v := range values {
		if strings.ContainsAny(v, "\r\n\x00") {
			return fmt.Sprintf("a value of header %q holds a line break or NUL", name)
		}
		if strings.TrimSpace(v) != v {
			return fmt.Sprintf("a value of header %q begins or ends with white space, which the broker would drop", name)
		}
	}
	return ""
}

func notToken(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }

// EncodeHeaders writes headers as the outbox table's headers column holds them:
// a JSON object of string → string, or → [string] where a name has several
// values. No headers are nil, which is NULL in the table.
func EncodeHeaders(h Headers) ([]byte, error) {
	if len(h) == 0 {
		return nil, nil
	}
	obj := make(map[string]any, len(h))
	for k, v := range h {
		if len(v) == 1 {
			obj[k] = v[0]
		} else {
			obj[k] = v
		}
	}
	return json.Marshal(obj)
}

// DecodeHeaders reads what [EncodeHeaders] writes. NULL, an empty column and
// `null` are no headers. Anything that is not an object of strings and lists of
// strings, or that [Message.Validate] would refuse in a row, is an error.
func DecodeHeaders(column []byte) (Headers, error) {
	if len(column) == 0 {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(column, &raw); err != nil {
		return nil, fmt.Errorf("headers column is not a JSON object: %w", err)
	}
	h := make(Headers, len(raw))
	var faults []string
	for name, v := range raw {
		values, err := headerValues(v)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", name, err)
		}
		if fault := checkHeader(name, values); fault != "" {
			faults = append(faults, fault)
		} else if ReservedHeader(name) && !rowHeader(name) {
			faults = append(faults, fmt.Sprintf("header %q is reserved", name))
		}
		h[name] = values
	}
	if len(faults) > 0 {
		sort.Strings(faults)
		return nil, fmt.Errorf("headers column: %s", strings.Join(faults, "; "))
	}
	return h, nil
}

func headerValues(v json.RawMessage) ([]string, error) {
	var one *string
	if err := json.Unmarshal(v, &one); err == nil && one != nil {
		return []string{*one}, nil
	}
	var many []string
	if err := json.Unmarshal(v, &many); err != nil || many == nil {
		return nil, fmt.Errorf("value %s is neither a string nor a list of strings", v)
	}
	return many, nil
}
