package dashboard

import (
	"bytes"

	"github.com/binjet/binjet/cmd/binjet/internal/payload"
)

// maxShown bounds how much of a payload a page shows, in bytes of its text.
const maxShown = 64 << 10

// shown is a payload for people.
type shown struct {
	As   string // what it was read as
	Text string
	Cut  bool // more was there
}

// show decodes by the Content-Type, as binjet tail does.
func show(contentType string, data []byte) shown {
	p := payload.Read(contentType, data)
	as, known := map[string]string{"json": "JSON", "msgpack": "MessagePack, as JSON", "protobuf": "Protobuf", "binary": "hexadecimal"}[p.As]
	if !known {
		as = p.As
	}
	text := p.String()
	if len(text) <= maxShown {
		return shown{As: as, Text: text}
	}
	return shown{As: as, Text: string(bytes.ToValidUTF8([]byte(text[:maxShown]), nil)), Cut: true}
}
