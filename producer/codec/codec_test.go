package codec_test

import (
	"fmt"
	"testing"

	"github.com/binjet/binjet/producer/codec"
)

type order struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

func TestJSON(t *testing.T) {
	for _, c := range []codec.JSON{{}, {Strict: true}} {
		data, err := c.Marshal(order{"o-1", 1<<62 + 1})
		if err != nil {
			t.Fatal(err)
		}
		var got order
		if err := c.Unmarshal(data, &got); err != nil || got != (order{"o-1", 1<<62 + 1}) {
			t.Errorf("strict %t: got %+v, %v", c.Strict, got, err)
		}
		for _, bad := range []string{"", "{", `{"id":"a"} x`, `{"id":"a"}{}`, `{"id":1}`, "\xff"} {
			if err := c.Unmarshal([]byte(bad), &got); err == nil {
				t.Errorf("strict %t: %q is taken", c.Strict, bad)
			}
		}
	}
	more := []byte(`{"id":"a","more":1}`)
	var got order
	if err := (codec.JSON{}).Unmarshal(more, &got); err != nil || got.ID != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := (codec.JSON{Strict: true}).Unmarshal(more, &got); err == nil {
		t.Error("strict took an unknown field")
	}
}

func TestRaw(t *testing.T) {
	c := codec.Raw{Type: "text/csv"}
	if c.ContentType() != "text/csv" || (codec.Raw{}).ContentType() != "application/octet-stream" {
		t.Error("the type is not what was set")
	}
	for _, v := range []any{"a,b", []byte("a,b")} {
		if data, err := c.Marshal(v); err != nil || string(data) != "a,b" {
			t.Errorf("%T: got %q, %v", v, data, err)
		}
	}
	if _, err := c.Marshal(1); err == nil {
		t.Error("an int is taken")
	}
	var s string
	var b []byte
	if err := c.Unmarshal([]byte("x"), &s); err != nil || s != "x" {
		t.Errorf("got %q, %v", s, err)
	}
	if err := c.Unmarshal([]byte("x"), &b); err != nil || string(b) != "x" {
		t.Errorf("got %q, %v", b, err)
	}
	if c.Unmarshal([]byte("x"), new(int)) == nil {
		t.Error("an int is filled")
	}
}

func ExampleJSON() {
	data, err := codec.JSON{}.Marshal(order{"o-1", 1250})
	fmt.Println(string(data), err)
	// Output: {"id":"o-1","cents":1250} <nil>
}
