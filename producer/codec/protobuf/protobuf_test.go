package protobuf_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer/codec/protobuf"
)

func TestCodec(t *testing.T) {
	var c binjet.Codec = protobuf.Codec{}
	want, err := structpb.NewStruct(map[string]any{"id": "o-1", "lines": []any{1.5, "x"}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got structpb.Struct
	if err := c.Unmarshal(data, &got); err != nil || !proto.Equal(&got, want) {
		t.Errorf("got %v, %v", &got, err)
	}
	if c.Unmarshal(data[:len(data)-1], &got) == nil {
		t.Error("half a message is taken")
	}
	if data, err := c.Marshal(wrapperspb.Int64(0)); err != nil || len(data) != 0 {
		t.Errorf("nothing set: got %d bytes, %v", len(data), err)
	}
	var noMessage struct{ ID string }
	if _, err := c.Marshal(noMessage); err == nil {
		t.Error("a plain struct is marshalled")
	}
	if c.Unmarshal(data, &noMessage) == nil {
		t.Error("a plain struct is filled")
	}
}
