package producer

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer/codec"
)

type order struct {
	Total int `json:"total"`
}

func mustTyped[T any](t *testing.T, p *Producer, topic string, c binjet.Codec) *Typed[T] {
	t.Helper()
	typed, err := NewTyped[T](p, topic, c)
	if err != nil {
		t.Fatal(err)
	}
	return typed
}

func TestTypedInserts(t *testing.T) {
	var tx recorder
	orders := mustTyped[order](t, mustNew(t, Config{}), "orders.created", codec.JSON{})
	if err := orders.Insert(t.Context(), &tx, "4711", order{12}); err != nil {
		t.Fatal(err)
	}
	err := orders.Insert(t.Context(), &tx, "", order{13}, WithID("mine"), WithHeader("x", "y"), WithHeader("x", "z"),
		WithExpireAfter(time.Minute), WithDeliverAt(time.Unix(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]any{
		{tx.calls[0].args[0], "orders.created", "4711", []byte(`{"Content-Type":"application/json"}`), []byte(`{"total":12}`)},
		{"mine", "orders.created", nil, []byte(`{"x":"z","Content-Type":"application/json","Nats-TTL":"60s","Outbox-Deliver-At":"1970-01-01T00:00:00.000000Z"}`), []byte(`{"total":13}`)},
	} {
		if got := tx.calls[i].args; !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Messages of several types go into one statement.
func TestTypedMessage(t *testing.T) {
	var tx recorder
	p := mustNew(t, Config{})
	one, err := mustTyped[order](t, p, "orders.created", codec.JSON{}).Message("k", order{1})
	if err != nil {
		t.Fatal(err)
	}
	two, err := mustTyped[string](t, p, "mails.wanted", codec.Raw{Type: "text/plain"}).Message("k", "hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Insert(t.Context(), &tx, one, two); err != nil || len(tx.calls) != 1 {
		t.Fatalf("%v, %d statements", err, len(tx.calls))
	}
	if got := tx.calls[0].args[columns:]; got[1] != "mails.wanted" || string(got[4].([]byte)) != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestTypedRefuses(t *testing.T) {
	p := mustNew(t, Config{})
	for _, c := range []struct {
		p     *Producer
		topic string
		codec binjet.Codec
		want  string
	}{
		{nil, "a", codec.JSON{}, "Producer is nil"}, {p, "a", nil, "codec is nil"}, {p, "a.*", codec.JSON{}, "wildcard"},
	} {
		if _, err := NewTyped[int](c.p, c.topic, c.codec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	var tx recorder
	err := mustTyped[chan int](t, p, "a", codec.JSON{}).Insert(t.Context(), &tx, "", nil)
	if err == nil || !strings.Contains(err.Error(), `encode chan int for topic "a" as application/json: `) {
		t.Errorf("got %v", err)
	}
	if err := mustTyped[int](t, p, "a", codec.JSON{}).Insert(t.Context(), &tx, "\n", 1); !errors.Is(err, binjet.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if len(tx.calls) != 0 {
		t.Error("something was inserted")
	}
}
