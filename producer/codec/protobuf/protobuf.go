// Package protobuf is the codec for application/protobuf, by
// google.golang.org/protobuf. Values are pointers to generated messages, and so
// is the type of a typed handler: consumer.Typed[*shop.Order].
package protobuf

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/binjet/binjet"
)

// Codec is application/protobuf. Payloads are not self-describing: bytes of
// another message type are often readable, with fields mixed up. Give each topic
// one type.
type Codec struct{}

var _ binjet.Codec = Codec{}

// ContentType implements [binjet.Codec].
func (Codec) ContentType() string { return "application/protobuf" }

// Marshal implements [binjet.Codec]. A message without any field set has an
// empty payload, which the outbox refuses.
func (Codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("protobuf codec: %T is no proto.Message", v)
	}
	return proto.Marshal(m)
}

// Unmarshal implements [binjet.Codec]. Required fields have to be there; unknown
// ones are kept.
func (Codec) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("protobuf codec: %T is no proto.Message: the handler's type has to be a pointer to a generated message", v)
	}
	return proto.Unmarshal(data, m)
}
