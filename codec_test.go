package binjet_test

import (
	"testing"

	"github.com/binjet/binjet"
)

// typeOnly is a codec of which only the type is asked.
type typeOnly string

func (t typeOnly) ContentType() string         { return string(t) }
func (t typeOnly) Marshal(any) ([]byte, error) { panic("not asked for") }
func (t typeOnly) Unmarshal([]byte, any) error { panic("not asked for") }

func TestCodecFor(t *testing.T) {
	codecs := []binjet.Codec{
		typeOnly("application/json"), typeOnly("application/msgpack"), typeOnly("application/protobuf"),
		typeOnly("Application/Vnd.Shop+JSON"), typeOnly("application/avro;v=2"),
	}
	for contentType, want := range map[string]string{
		"":                                      "application/json",
		"application/json":                      "application/json",
		"APPLICATION/JSON; Charset=UTF-8":       "application/json",
		"application/json; charset":             "application/json", // broken parameters
		"application/json;;":                    "application/json",
		" application/json ":                    "application/json",
		"text/json":                             "application/json",
		"application/problem+json":              "application/json",
		"application/vnd.shop+json":             "Application/Vnd.Shop+JSON", // itself before its suffix
		"application/x-msgpack":                 "application/msgpack",
		"application/vnd.msgpack":               "application/msgpack",
		"application/shop+x-msgpack":            "application/msgpack",
		"application/x-protobuf; messageType=a": "application/protobuf",
		"application/vnd.google.protobuf":       "application/protobuf",
		"application/avro":                      "application/avro;v=2",
		"application/xml":                       "",
		"application/+":                         "",
		"json":                                  "",
		";":                                     "",
	} {
		got := ""
		if c := binjet.CodecFor(contentType, codecs); c != nil {
			got = c.ContentType()
		}
		if got != want {
			t.Errorf("%q goes to %q, want %q", contentType, got, want)
		}
	}
	if binjet.CodecFor("", nil) != nil {
		t.Error("a codec came from nowhere")
	}
}

func FuzzCodecFor(f *testing.F) {
	f.Add("application/json; charset=utf-8")
	f.Add("a/b+")
	f.Fuzz(func(t *testing.T, contentType string) {
		c := typeOnly(contentType)
		if got := binjet.CodecFor(contentType, []binjet.Codec{typeOnly("x/y"), c}); got == nil || contentType != "" && got != c {
			t.Fatalf("a codec does not get its own type: %v", got)
		}
	})
}
