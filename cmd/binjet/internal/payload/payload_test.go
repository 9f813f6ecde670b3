package payload

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode"

	"github.com/vmihailenco/msgpack/v5"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestRead(t *testing.T) {
	packed, err := msgpack.Marshal(map[any]any{"a": 1, 7: []any{true, nil, []byte{1, 2}}, "f": math.Inf(1)})
	if err != nil {
		t.Fatal(err)
	}
	proto := protowire.AppendTag(nil, 1, protowire.VarintType)
	proto = protowire.AppendVarint(proto, 150)
	proto = protowire.AppendTag(proto, 2, protowire.BytesType)
	proto = protowire.AppendString(proto, "ann")
	for name, test := range map[string]struct {
		contentType string
		data        []byte
		as, text    string
	}{
		"json":               {"application/json; charset=utf-8", []byte(`{"a":1}`), "json", "{\n  \"a\": 1\n}"},
		"json by suffix":     {"application/cloudevents+json", []byte(`[1]`), "json", "[\n  1\n]"},
		"json by its looks":  {"", []byte(` {"a":1}`), "json", "\"a\": 1"},
		"no json":            {"application/json", []byte(`{"a":`), "text", "(it is no JSON)\n{\"a\":"},
		"msgpack":            {"application/msgpack", packed, "msgpack", `"7": [`},
		"msgpack binary":     {"application/x-msgpack", packed, "msgpack", `"AQI="`},
		"msgpack infinity":   {"application/msgpack", packed, "msgpack", `"f": "+Inf"`},
		"no msgpack":         {"application/msgpack", []byte{0xc1}, "binary", "(it is no MessagePack"},
		"msgpack with more":  {"application/msgpack", []byte{1, 2}, "binary", "more follows"},
		"protobuf":           {"application/protobuf", proto, "protobuf", "1: 150\n2: \"ann\""},
		"no protobuf":        {"application/x-protobuf", []byte{0xff}, "protobuf", "what follows is no Protobuf:\n00000000  ff"},
		"text":               {"text/plain", []byte("a\nb"), "text", "a\nb"},
		"text by its looks":  {"", []byte("hello"), "text", "hello"},
		"binary":             {"application/octet-stream", []byte("abc"), "binary", "|abc|"},
		"binary by its look": {"", []byte{0xff, 0xfe}, "binary", "ff fe"},
		"empty":              {"application/json", nil, "text", "(empty)"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Read(test.contentType, test.data)
			if p.As != test.as || !strings.Contains(p.String(), test.text) {
				t.Errorf("%s:\n%s", p.As, p)
			}
			if _, err := json.Marshal(p); err != nil {
				t.Error(err)
			}
		})
	}
}

// What comes from elsewhere does nothing to a terminal.
func TestClean(t *testing.T) {
	if got := Read("text/plain", []byte("\x1b[2Ja\u202eb\r\n")).String(); got != `\x1b[2Ja\u202eb\r`+"\n" {
		t.Errorf("%q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("application/msgpack", []byte{0x81, 0xa1, 'a', 1})
	f.Add("application/protobuf", []byte{0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, contentType string, data []byte) {
		p := Read(contentType, data)
		if strings.ContainsFunc(p.String(), func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
			t.Errorf("control characters in %q", p.String())
		}
		if _, err := json.Marshal(p); err != nil {
			t.Error(err)
		}
	})
}
