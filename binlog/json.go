package binlog

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// canonicalJSON appends the JSON document src to dst in the one form that binjet
// publishes of MySQL's JSON type: no white space between tokens, members in
// MySQL's order, only ", \ and control characters escaped, and doubles as
// [appendFloat] writes them. MySQL keeps documents in a form of its own, and the
// text that a SELECT shows and the one made of the binlog differ in these points
// only; a message must not depend on which way it came. src must be valid.
func canonicalJSON(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '"':
			end := stringEnd(src, i)
			dst = canonicalString(dst, src[i:end])
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(src) && strings.IndexByte("0123456789+-.eE", src[end]) >= 0 {
				end++
			}
			dst = canonicalNumber(dst, src[i:end])
			i = end
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// stringEnd is the index behind the string that begins at i.
func stringEnd(src []byte, i int) int {
	for i++; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(src)
}

func canonicalString(dst, s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return append(dst, s...)
	}
	for i := 0; i < len(s); {
		if r, n := escapedRune(s[i:]); n > 0 {
			dst = appendEscaped(dst, r)
			i += n
			continue
		}
		n := 1
		if s[i] == '\\' && i+1 < len(s) {
			n = 2
		}
		dst = append(dst, s[i:i+n]...)
		i += n
	}
	return dst
}

// escapedRune is the character that a \uXXXX, or a pair of them, at the beginning
// of s stands for; n is 0 when there is none, or half a pair, which is left as it is.
func escapedRune(s []byte) (r rune, n int) {
	unit := func(s []byte) rune {
		if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
			return -1
		}
		v, err := strconv.ParseUint(string(s[2:6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(v)
	}
	first := unit(s)
	switch {
	case first < 0:
		return 0, 0
	case !utf16.IsSurrogate(first):
		return first, 6
	}
	if r = utf16.DecodeRune(first, unit(s[6:])); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

func appendEscaped(dst []byte, r rune) []byte {
	const short = "\b\f\n\r\t\"\\"
	if i := strings.IndexRune(short, r); i >= 0 {
		return append(dst, '\\', `bfnrt"\`[i])
	}
	if r < ' ' {
		const digits = "0123456789abcdef"
		return append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// canonicalNumber: an integer, and a decimal number that a double can't be the
// source of, stay as they are.
func canonicalNumber(dst, token []byte) []byte {
	if !bytes.ContainsAny(token, ".eE") {
		return append(dst, token...)
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return append(dst, token...)
	}
	plain := !bytes.ContainsAny(token, "eE")
	if plain && string(appendPlain(nil, f, 64)) != string(token) {
		return append(dst, token...)
	}
	return appendFloat(dst, f, 64)
}

// appendPlain writes f without an exponent, with at least one digit behind the dot.
func appendPlain(dst []byte, f float64, bits int) []byte {
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
	if bytes.IndexByte(dst[at:], '.') < 0 {
		dst = append(dst, '.', '0')
	}
	return dst
}

// appendFloat writes the shortest text that reads as the same number of bits bits
// again: with an exponent (1.5e-7, 1e20) from 1e15 on and below 1e-5, as MySQL does,
// else without (1234567.5, 3.0).
func appendFloat(dst []byte, f float64, bits int) []byte {
	if abs := max(f, -f); abs == 0 || abs >= 1e-5 && abs < 1e15 {
		return appendPlain(dst, f, bits)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, bits), "e")
	n, _ := strconv.Atoi(exponent) // Go writes it with a sign and two digits
	return append(dst, mantissa+"e"+strconv.Itoa(n)...)
}
