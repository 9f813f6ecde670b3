package cloudevents

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// encode percent-encodes what may not stand in a header: all but printable ASCII,
// space, the double quote and the percent sign.
func encode(s string) string {
	const hex = "0123456789ABCDEF"
	n := 0
	for i := range len(s) {
		if escapes(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; escapes(c) {
			b.Write([]byte{'%', hex[c>>4], hex[c&0xf]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func escapes(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '%' }

// decode undoes encode, once, and the quotes that older versions of the binding
// put around values.
func decode(s string) (string, error) {
	s, err := unquote(s)
	if err != nil {
		return "", err
	}
	if strings.IndexByte(s, '%') < 0 {
		return s, valid(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends in the middle of a percent code", s)
		}
		high, ok := fromHex(s[i+1])
		low, ok2 := fromHex(s[i+2])
		if !ok || !ok2 {
			return "", fmt.Errorf("%q is no percent code", s[i:i+3])
		}
		b = append(b, high<<4|low)
		i += 2
	}
	return string(b), valid(string(b))
}

func valid(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("not valid UTF-8")
	}
	return nil
}

func fromHex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// unquote takes the quotes of a quoted string (RFC 7230, section 3.2.6) away.
func unquote(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && i == len(s)-1:
			return string(b), nil
		case c == '"':
			return "", fmt.Errorf("%q goes on behind its closing quote", s)
		case c == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		default:
			b = append(b, c)
		}
	}
	return "", fmt.Errorf("%q has no closing quote", s)
}
