// Package msgpack is the codec for application/msgpack, by
// github.com/vmihailenco/msgpack/v5. Fields are named by `msgpack` tags.
package msgpack

import (
	"github.com/vmihailenco/msgpack/v5"

	"github.com/binjet/binjet"
)

// Codec is application/msgpack.
type Codec struct{}

var _ binjet.Codec = Codec{}

// ContentType implements [binjet.Codec].
func (Codec) ContentType() string { return "application/msgpack" }

// Marshal implements [binjet.Codec].
func (Codec) Marshal(v any) ([]byte, error) { return msgpack.Marshal(v) }

// Unmarshal implements [binjet.Codec]. Fields that the value does not have are
// passed over; anything behind the first value is an error. Data that is cut
// short, or nested deeper than 10,000, is refused before anything is allocated for it.
func (Codec) Unmarshal(data []byte, v any) error {
	if err := wellFormed(data); err != nil {
		return err
	}
	return msgpack.Unmarshal(data, v)
}
