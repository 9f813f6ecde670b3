package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Secret is a string that no way of printing shows. Convert it to use it.
type Secret string

const redacted = "[redacted]"

// String hides the value, and so does every verb of fmt but %q of its conversion.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// Format covers the verbs that would otherwise reach the bytes, such as %x.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		_, _ = fmt.Fprintf(f, "%q", s.String())
		return
	}
	_, _ = f.Write([]byte(s.String()))
}

// MarshalText is String, for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Share is a part of a whole, from 0 to 1.
type Share float64

// Bytes is a size.
type Bytes int64

// String is the size in the largest binary unit that divides it: "16MiB".
func (b Bytes) String() string {
	for _, u := range []struct {
		name string
		size Bytes
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

func byteUnit(name string) (float64, bool) {
	unit, ok := map[string]float64{"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}[strings.ToLower(name)]
	return unit, ok
}

// ParseBytes reads a number and a unit, such as 16MiB, 16 MB, 1.5GiB or 65536.
func ParseBytes(s string) (Bytes, error) {
	digits := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if digits < 0 {
		digits = len(s)
	}
	n, err := strconv.ParseFloat(s[:digits], 64)
	unit, known := byteUnit(strings.TrimSpace(s[digits:]))
	if size := n * unit; err == nil && known && size < math.MaxInt64 && size == math.Trunc(size) {
		return Bytes(size), nil
	}
	return 0, errors.New("is no size: write a number and B, KB, MB, GB, KiB, MiB or GiB, such as 16MiB")
}

// assign parses text into field by the field's type. The errors continue the
// sentence "source.heartbeat …" and hold nothing of the text.
func assign(field reflect.Value, text string) error {
	switch p := field.Addr().Interface().(type) {
	case *string:
		*p = text
	case *Secret:
		*p = Secret(text)
	case *[]string:
		*p = splitList(text)
	case *bool:
		return parse(p, text, "is neither true nor false", parseBool)
	case *int:
		return parse(p, text, "is no whole number", strconv.Atoi)
	case *uint32:
		return parse(p, text, "is no whole number from 0 to 4294967295", func(s string) (uint32, error) {
			n, err := strconv.ParseUint(s, 10, 32)
			return uint32(n), err
		})
	case *time.Duration:
		return parse(p, text, "is no duration: write a number and a unit, such as 500ms, 2s or 1m", time.ParseDuration)
	case *Share:
		return parse(p, text, "is no number from 0 to 1", func(s string) (Share, error) {
			n, err := strconv.ParseFloat(s, 64)
			if err == nil && !(n >= 0 && n <= 1) {
				err = strconv.ErrRange
			}
			return Share(n), err
		})
	case *Bytes:
		n, err := ParseBytes(text)
		*p = n
		return err
	default:
		return fmt.Errorf("has a type that can't be set: %T", p)
	}
	return nil
}

func parse[T any](p *T, text, problem string, f func(string) (T, error)) error {
	v, err := f(strings.TrimSpace(text))
	if err != nil {
		return errors.New(problem)
	}
	*p = v
	return nil
}

// parseBool takes true and false only: whether "on" is a boolean depends on the
// version of YAML.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, strconv.ErrSyntax
}

// splitList splits at commas; white space around items and empty items are dropped.
func splitList(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
