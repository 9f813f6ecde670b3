package binjet

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// EncodeHeaders writes headers as the outbox table's headers column holds them:
// a JSON object of string → string, or → [string] where a name has several
// values, in the order of the names. No headers are nil, which is NULL in the
// table. Strings that are not UTF-8, which JSON can't hold, are an error.
func EncodeHeaders(h Headers) ([]byte, error) {
	for name, values := range h {
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(values, "")) {
			return nil, fmt.Errorf("header %s is not valid UTF-8", clip(name))
		}
	}
	return closeObject(appendHeaders(nil, h)), nil
}

// AppendRowHeaders appends what the headers column of m's row holds to dst:
// m.Headers, ContentType, and ExpireAfter and DeliverAt as the broker and the
// SDK read them. It appends nothing when there is none of them: that is NULL.
// m must have passed [Message.Validate].
func (m *Message) AppendRowHeaders(dst []byte) []byte {
	start := len(dst)
	dst = appendHeaders(slices.Grow(dst, m.headerSize()*5/4), m.Headers)
	if m.ContentType != "" {
		dst = appendString(appendName(dst, start, HeaderContentType), m.ContentType)
	}
	if m.ExpireAfter != 0 {
		dst = append(appendName(dst, start, HeaderTTL), '"')
		dst = strconv.AppendInt(dst, int64(m.ExpireAfter/time.Second), 10)
		dst = append(dst, 's', '"')
	}
	if !m.DeliverAt.IsZero() {
		dst = append(appendName(dst, start, HeaderDeliverAt), '"')
		dst = m.DeliverAt.UTC().AppendFormat(dst, CreatedAtLayout)
		dst = append(dst, '"')
	}
	if len(dst) == start {
		return dst
	}
	return append(dst, '}')
}

func closeObject(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(b, '}')
}

// appendHeaders appends an object without its closing brace, or nothing.
func appendHeaders(dst []byte, h Headers) []byte {
	if len(h) == 0 {
		return dst
	}
	start := len(dst)
	for _, name := range h.Keys() {
		dst = appendName(dst, start, name)
		if values := h[name]; len(values) == 1 {
			dst = appendString(dst, values[0])
		} else {
			dst = appendList(dst, values)
		}
	}
	return dst
}

// appendName appends a member's name to an object that begins at start.
func appendName(dst []byte, start int, name string) []byte {
	if len(dst) == start {
		dst = append(dst, '{')
	} else {
		dst = append(dst, ',')
	}
	return append(appendString(dst, name), ':')
}

func appendList(dst []byte, values []string) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, v)
	}
	return append(dst, ']')
}

// appendString appends valid UTF-8 as a JSON string, escaping only what must be.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// DecodeHeaders reads what [EncodeHeaders] writes. NULL, an empty column and
// `null` are no headers. Anything that is not an object of strings and lists of
// strings, that names a header twice, or that [Message.Validate] would refuse in
// a row, is an error.
func DecodeHeaders(column []byte) (Headers, error) {
	if len(column) == 0 {
		return nil, nil
	}
	if !utf8.Valid(column) {
		return nil, fmt.Errorf("headers column is not valid UTF-8")
	}
	h, err := decodeObject(column)
	if err != nil {
		return nil, fmt.Errorf("headers column: %w", err)
	}
	var faults []string
	for name, values := range h {
		if fault := checkHeader(name, values); fault != "" {
			faults = append(faults, fault)
		} else if ReservedHeader(name) && !rowHeader(name) {
			faults = append(faults, fmt.Sprintf("header %s is reserved", clip(name)))
		}
	}
	if len(faults) > 0 {
		sort.Strings(faults)
		return nil, fmt.Errorf("headers column: %s", strings.Join(faults, "; "))
	}
	return h, nil
}
