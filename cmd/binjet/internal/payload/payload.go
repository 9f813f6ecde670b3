package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"mime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Payload is a body as it can be shown. One of JSON, Text and Base64 is set, unless
// it is empty.
type Payload struct {
	// As says how it was read: json, msgpack, protobuf, text or binary.
	As string `json:"as"`
	// JSON is what JSON and MessagePack hold.
	JSON json.RawMessage `json:"json,omitempty"`
	// Text is text as it is.
	Text string `json:"text,omitempty"`
	// Base64 is anything else.
	Base64 string `json:"base64,omitempty"`
	// Note says why it is not shown as its Content-Type promises.
	Note string `json:"note,omitempty"`

	raw []byte
}

// Read reads data by its Content-Type; without one by its looks.
func Read(contentType string, data []byte) Payload {
	kind := kindOf(contentType)
	p := Payload{As: kind, raw: data}
	switch {
	case kind == "json" && json.Valid(data), kind == "" && looksLikeJSON(data):
		p.As, p.JSON = "json", data
	case kind == "msgpack":
		text, err := msgpackJSON(data)
		if err != nil {
			return binary(data, "it is no MessagePack: "+err.Error())
		}
		p.JSON = text
	case kind == "protobuf":
		p.Base64, p.Note = base64.StdEncoding.EncodeToString(data), "field numbers only: the descriptor is not known here"
	case kind == "json":
		p = readable(data)
		p.Note = "it is no JSON"
	case (kind == "text" || kind == "") && utf8.Valid(data):
		p.As, p.Text = "text", string(data)
	default:
		return binary(data, "")
	}
	return p
}

func readable(data []byte) Payload {
	if utf8.Valid(data) {
		return Payload{As: "text", Text: string(data), raw: data}
	}
	return binary(data, "")
}

func binary(data []byte, note string) Payload {
	return Payload{As: "binary", Base64: base64.StdEncoding.EncodeToString(data), Note: note, raw: data}
}

// kindOf is "" for no Content-Type, and binary for one that is not known.
func kindOf(contentType string) string {
	if contentType == "" {
		return ""
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = strings.ToLower(strings.TrimSpace(contentType))
	}
	_, sub, _ := strings.Cut(media, "/")
	_, suffix, _ := strings.Cut(sub, "+")
	is := func(names ...string) bool {
		for _, n := range names {
			if sub == n || suffix == n {
				return true
			}
		}
		return false
	}
	switch {
	case is("json"):
		return "json"
	case is("msgpack", "x-msgpack", "vnd.msgpack"):
		return "msgpack"
	case is("protobuf", "x-protobuf", "vnd.google.protobuf"):
		return "protobuf"
	case strings.HasPrefix(media, "text/"), is("xml", "yaml", "x-yaml"):
		return "text"
	}
	return "binary"
}

func looksLikeJSON(data []byte) bool {
	trimmed := bytes.TrimSpace(data)
	return len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(trimmed)
}

// String is the payload for a terminal, without a line break at its end.
func (p Payload) String() string {
	var text string
	switch {
	case len(p.raw) == 0:
		text = "(empty)"
	case p.JSON != nil:
		var out bytes.Buffer
		if err := json.Indent(&out, p.JSON, "", "  "); err != nil {
			text = string(p.JSON)
		} else {
			text = out.String()
		}
	case p.As == "protobuf":
		text = fields(p.raw)
	case p.Text != "":
		text = p.Text
	default:
		text = strings.TrimRight(hex.Dump(p.raw), "\n")
	}
	text = Clean(text)
	if p.Note != "" {
		text = "(" + Clean(p.Note) + ")\n" + text
	}
	return text
}

// Clean is text that does nothing to a terminal: control characters are escaped
// but line breaks and tabs.
func Clean(text string) string {
	harmless := func(r rune) bool {
		return r == '\n' || r == '\t' || unicode.IsPrint(r)
	}
	if !strings.ContainsFunc(text, func(r rune) bool { return !harmless(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if harmless(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
