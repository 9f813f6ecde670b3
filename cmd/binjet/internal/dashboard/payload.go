package dashboard

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"unicode/utf8"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer/codec"
	"github.com/binjet/binjet/producer/codec/msgpack"
)

// maxShown bounds how much of a payload a page shows, in bytes.
const maxShown = 64 << 10

// shown is a payload for people.
type shown struct {
	As   string // what it was read as
	Text string
	Cut  bool // more was there
}

// show decodes by the Content-Type: JSON and MessagePack are indented, text is shown as
// it is, and anything else in hexadecimal. Without a Content-Type it is JSON if it reads so.
func show(contentType string, payload []byte) shown {
	if contentType == "" && json.Valid(payload) {
		contentType = "application/json"
	}
	codecs := []binjet.Codec{codec.Raw{}, codec.JSON{}, msgpack.Codec{}} // the first is for none
	switch binjet.CodecFor(contentType, codecs).(type) {
	case codec.JSON:
		var b bytes.Buffer
		if json.Indent(&b, payload, "", "  ") == nil {
			return cut("JSON", b.String())
		}
	case msgpack.Codec:
		if text, ok := fromMsgpack(payload); ok {
			return cut("MessagePack, as JSON", text)
		}
	}
	if utf8.Valid(payload) && !bytes.ContainsRune(payload, 0) {
		return cut("text", string(payload))
	}
	const room = maxShown / 16 // a line of the dump is longer than what it shows
	return shown{As: "hexadecimal", Text: hex.Dump(payload[:min(len(payload), room)]), Cut: len(payload) > room}
}

func fromMsgpack(payload []byte) (string, bool) {
	var v any
	if (msgpack.Codec{}).Unmarshal(payload, &v) != nil {
		return "", false
	}
	text, err := json.MarshalIndent(v, "", "  ") // fails for maps whose keys are no strings
	return string(text), err == nil
}

func cut(as, text string) shown {
	if len(text) <= maxShown {
		return shown{As: as, Text: text}
	}
	return shown{As: as, Text: string(bytes.ToValidUTF8([]byte(text[:maxShown]), nil)), Cut: true}
}
