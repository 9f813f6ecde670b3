// Package codec has the codecs that need nothing beyond the standard library:
// [JSON] and [Raw]. Others are packages below it, so that their dependencies
// come only with those who choose them: producer/codec/msgpack and
// producer/codec/protobuf. Producers and consumers use the same ones.
package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/binjet/binjet"
)

// JSON is application/json, by encoding/json.
type JSON struct {
	// Strict refuses fields that the value does not have. Danger: a producer
	// that adds a field then makes dead letters of all its messages. Default:
	// unknown fields are passed over.
	Strict bool
}

var _ binjet.Codec = JSON{}

// ContentType implements [binjet.Codec].
func (JSON) ContentType() string { return "application/json" }

// Marshal implements [binjet.Codec].
func (JSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements [binjet.Codec]. Anything behind the first value is an error.
func (c JSON) Unmarshal(data []byte, v any) error {
	if !c.Strict {
		return json.Unmarshal(data, v)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF // EOF alone says little in a log
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the JSON value")
	}
	return nil
}

// Raw hands bytes through as they are: application/octet-stream unless Type
// names another. It takes and fills []byte and string.
type Raw struct {
	// Type is the Content-Type. Default: application/octet-stream.
	Type string
}

var _ binjet.Codec = Raw{}

// ContentType implements [binjet.Codec].
func (c Raw) ContentType() string {
	if c.Type == "" {
		return "application/octet-stream"
	}
	return c.Type
}

// Marshal implements [binjet.Codec].
func (Raw) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	}
	return nil, fmt.Errorf("raw codec: %T is neither []byte nor string", v)
}

// Unmarshal implements [binjet.Codec]. Bytes are not copied.
func (Raw) Unmarshal(data []byte, v any) error {
	switch v := v.(type) {
	case *[]byte:
		*v = data
	case *string:
		*v = string(data)
	default:
		return fmt.Errorf("raw codec: %T points neither to []byte nor to string", v)
	}
	return nil
}
