package payload

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields lists a Protobuf message by the numbers of its fields, as the wire has
// them: what a number means only its descriptor says.
func fields(data []byte) string {
	var lines []string
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return broken(lines, data)
		}
		text, m := value(kind, data[n:])
		if m < 0 {
			return broken(lines, data)
		}
		if kind == protowire.StartGroupType {
			text, m = "group", max(protowire.ConsumeFieldValue(number, kind, data[n:]), 0)
		}
		lines = append(lines, fmt.Sprintf("%d: %s", number, text))
		data = data[n+m:]
	}
	return strings.Join(lines, "\n")
}

func broken(lines []string, rest []byte) string {
	return strings.Join(append(lines, "what follows is no Protobuf:", strings.TrimRight(hex.Dump(rest), "\n")), "\n")
}

func value(kind protowire.Type, data []byte) (text string, n int) {
	switch kind {
	case protowire.VarintType:
		v, n := protowire.ConsumeVarint(data)
		return strconv.FormatUint(v, 10), n
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(data)
		return fmt.Sprintf("%d (32 bits)", v), n
	case protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(data)
		return fmt.Sprintf("%d (64 bits)", v), n
	case protowire.BytesType:
		v, n := protowire.ConsumeBytes(data)
		if utf8.Valid(v) && !strings.ContainsFunc(string(v), func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
			return strconv.Quote(string(v)), n
		}
		return fmt.Sprintf("%d bytes %x", len(v), v), n
	case protowire.StartGroupType:
		return "group", 0
	}
	return "", -1
}
