package binjet

import (
	"mime"
	"strings"
)

// Codec turns values into payloads and payloads into values. A producer writes
// its ContentType into the message, and a consumer finds it by that. Codecs are
// in producer/codec and its sub-packages; any other type that has these methods
// will do. It has to be safe for concurrent use.
type Codec interface {
	// ContentType is the media type of the payloads, such as "application/json".
	ContentType() string
	// Marshal returns the payload of v.
	Marshal(v any) ([]byte, error)
	// Unmarshal fills what v points to. An error says that data is not a payload
	// of that kind: a consumer does not try such a message again.
	Unmarshal(data []byte, v any) error
}

// CodecFor returns the codec for a message's Content-Type, nil when none of them
// knows it. Case and parameters ("; charset=utf-8") do not count, and the usual
// aliases are known, such as application/x-msgpack. Where no codec has just that
// type, its suffix decides: application/vnd.shop.order+json is JSON. A message
// without a Content-Type goes to the first codec.
func CodecFor(contentType string, codecs []Codec) Codec {
	if contentType == "" && len(codecs) > 0 {
		return codecs[0]
	}
	for _, c := range codecs {
		if c.ContentType() == contentType {
			return c
		}
	}
	want := mediaType(contentType)
	if c := codecOf(want, codecs); c != nil {
		return c
	}
	if i := strings.LastIndexByte(want, '+'); i >= 0 {
		return codecOf(alias("application/"+want[i+1:]), codecs)
	}
	return nil
}

func codecOf(wanted string, codecs []Codec) Codec {
	for _, c := range codecs {
		if mediaType(c.ContentType()) == wanted {
			return c
		}
	}
	return nil
}

// mediaType is the type without parameters, in lower case, by its usual name.
func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil { // broken parameters do not make another type of it
		t, _, _ = strings.Cut(contentType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	return alias(t)
}

func alias(mediaType string) string {
	switch mediaType {
	case "application/x-msgpack", "application/vnd.msgpack", "application/messagepack":
		return "application/msgpack"
	case "application/x-protobuf", "application/vnd.google.protobuf", "application/proto":
		return "application/protobuf"
	case "text/json", "application/x-json":
		return "application/json"
	}
	return mediaType
}
