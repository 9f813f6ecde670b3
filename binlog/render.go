package binlog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// text is a value as text, as [Config.Headers] documents it; "" and a problem
// where it has none. Values are what go-mysql makes of the binlog or of a SELECT:
// a valueType can come in several Go types, and must look the same in all of them.
func (k columnType) text(v any, swapped bool) (text, problem string) {
	switch k.valueType {
	case typeBytes:
		if s, ok := stringOf(v); ok {
			return s, ""
		}
	case typeText:
		if s, ok := stringOf(v); ok {
			return s, encodingProblem(s)
		}
	case typeUUID:
		if s, ok := stringOf(v); ok {
			return UUIDText([]byte(s), swapped), ""
		}
	case typeJSON:
		if s, ok := stringOf(v); ok {
			return string(canonicalJSON(nil, []byte(s))), ""
		}
	case typeEnum:
		return k.enumText(v)
	case typeSet:
		return k.setText(v)
	case typeBit:
		return bitText(v)
	case typeDate, typeDateTime, typeTimestamp, typeTime:
		return timeText(k.valueType, v)
	default:
		return k.numberText(v)
	}
	return "", fmt.Sprintf("holds a %T, which has no text", v)
}

func stringOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

const notUTF8 = "is not UTF-8: convert the column to utf8mb4, or to a binary type"

func encodingProblem(s string) string {
	if utf8.ValidString(s) {
		return ""
	}
	return notUTF8
}

// integer is v where it is a whole number; negative ones count from the other end.
func integer(v any) (n uint64, negative, ok bool) {
	signed := func(i int64) (uint64, bool, bool) { return uint64(i), i < 0, true }
	switch v := v.(type) {
	case int8:
		return signed(int64(v))
	case int16:
		return signed(int64(v))
	case int32:
		return signed(int64(v))
	case int64:
		return signed(v)
	case int:
		return signed(int64(v))
	case uint8:
		return uint64(v), false, true
	case uint16:
		return uint64(v), false, true
	case uint32:
		return uint64(v), false, true
	case uint64:
		return v, false, true
	}
	return 0, false, false
}

func (k columnType) numberText(v any) (text, problem string) {
	n, negative, whole := integer(v)
	s, isText := stringOf(v)
	switch {
	case k.valueType == typeYear && whole:
		return fmt.Sprintf("%04d", n), ""
	case k.valueType == typeInteger && negative:
		return strconv.FormatInt(int64(n), 10), ""
	case k.valueType == typeInteger && whole:
		return strconv.FormatUint(n, 10), ""
	case k.valueType == typeDecimal && isText:
		return trimZeros(s), ""
	case k.valueType == typeFloat, k.valueType == typeDouble:
		return floatText(v, k.valueType)
	}
	return "", fmt.Sprintf("holds a %T, which has no text", v)
}

// trimZeros drops what ZEROFILL put in front of a decimal number, which it does in
// a SELECT and not in the binlog.
func trimZeros(s string) string {
	for len(s) > 1 && s[0] == '0' && s[1] != '.' {
		s = s[1:]
	}
	return s
}

func floatText(v any, k valueType) (text, problem string) {
	bits := 64
	if k == typeFloat {
		bits = 32
	}
	var f float64
	switch v := v.(type) {
	case float32:
		f = float64(v)
	case float64:
		f = v
	default:
		return "", fmt.Sprintf("holds a %T in a column of numbers", v)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", "holds what is no number"
	}
	return strings.TrimSuffix(string(appendFloat(nil, f, bits)), ".0"), ""
}

// bitText is BIT as a number: the binlog's reader makes an integer of it, and a
// SELECT brings its bytes.
func bitText(v any) (text, problem string) {
	if n, _, ok := integer(v); ok {
		return strconv.FormatUint(n, 10), ""
	}
	s, ok := stringOf(v)
	if !ok {
		return "", fmt.Sprintf("holds a %T in a column of bits", v)
	}
	var n uint64
	for i := range len(s) {
		n = n<<8 | uint64(s[i])
	}
	return strconv.FormatUint(n, 10), ""
}

// enumText: the binlog holds the number of the name, 0 for what was no name.
func (k columnType) enumText(v any) (text, problem string) {
	n, _, ok := integer(v)
	switch {
	case !ok:
		return "", fmt.Sprintf("holds a %T in an ENUM", v)
	case n == 0:
		return "", ""
	case n > uint64(len(k.names)):
		return "", fmt.Sprintf("holds number %d of an ENUM whose names the binlog does not hold", n)
	}
	name := k.names[n-1]
	return name, encodingProblem(name)
}

func (k columnType) setText(v any) (text, problem string) {
	n, _, ok := integer(v)
	if !ok {
		return "", fmt.Sprintf("holds a %T in a SET", v)
	}
	var names []string
	for i := range 64 {
		if n>>i&1 == 0 {
			continue
		}
		if i >= len(k.names) {
			return "", fmt.Sprintf("holds member %d of a SET whose names the binlog does not hold", i+1)
		}
		names = append(names, k.names[i])
	}
	text = strings.Join(names, ",")
	return text, encodingProblem(text)
}

// timeText writes points in time as RFC 3339 does, with microseconds, so that the
// precision of the column does not show: TIMESTAMP is UTC, DATETIME is of no zone.
func timeText(k valueType, v any) (text, problem string) {
	if t, ok := v.(time.Time); ok {
		text = t.UTC().Format("2006-01-02T15:04:05.000000")
	} else if s, ok := stringOf(v); ok {
		text = s
		if k != typeDate {
			text = microseconds(strings.Replace(s, " ", "T", 1))
		}
	} else {
		return "", fmt.Sprintf("holds a %T in a column of time", v)
	}
	if k == typeTimestamp {
		text += "Z"
	}
	return text, ""
}

// microseconds gives a time of day its six digits behind the dot.
func microseconds(s string) string {
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + "." + (fraction + "000000")[:6]
}
