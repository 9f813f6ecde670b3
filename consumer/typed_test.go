package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/producer/codec"
	"github.com/binjet/binjet/producer/codec/msgpack"
	"github.com/binjet/binjet/producer/codec/protobuf"
)

type order struct {
	ID    string `json:"id" msgpack:"id"`
	Cents int    `json:"cents" msgpack:"cents"`
}

// encoded is a message as the codec's producer would write it.
func encoded(t *testing.T, c binjet.Codec, v any) *consumer.Message {
	t.Helper()
	data, err := c.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return &consumer.Message{Message: binjet.Message{ID: "1", Topic: "a", ContentType: c.ContentType(), Payload: data}}
}

func TestTypedTakesTheCodecOfTheMessage(t *testing.T) {
	codecs := []binjet.Codec{codec.JSON{}, msgpack.Codec{}, protobuf.Codec{}, codec.Raw{}}
	want := order{"o-1", 1250}
	for _, c := range codecs[:2] {
		h := consumer.Typed(func(_ context.Context, m *consumer.Message, got order) error {
			if got != want || m.ID != "1" {
				return fmt.Errorf("got %+v of message %s", got, m.ID)
			}
			return nil
		}, codecs...)
		if err := h(t.Context(), encoded(t, c, want)); err != nil {
			t.Error(err)
		}
		pointer := consumer.Typed(func(_ context.Context, _ *consumer.Message, got *order) error {
			if *got != want {
				return fmt.Errorf("got %+v", got)
			}
			return nil
		}, codecs...)
		if err := pointer(t.Context(), encoded(t, c, want)); err != nil {
			t.Error(err)
		}
	}
	h := consumer.Typed(func(_ context.Context, _ *consumer.Message, got *wrapperspb.StringValue) error {
		if got.Value != "x" {
			return fmt.Errorf("got %v", got)
		}
		return nil
	}, codecs...)
	if err := h(t.Context(), encoded(t, protobuf.Codec{}, wrapperspb.String("x"))); err != nil {
		t.Error(err)
	}
	raw := consumer.Typed(func(_ context.Context, _ *consumer.Message, got []byte) error {
		if string(got) != "x" {
			return fmt.Errorf("got %q", got)
		}
		return nil
	}, codecs...)
	if err := raw(t.Context(), encoded(t, codec.Raw{}, "x")); err != nil {
		t.Error(err)
	}
}

func TestTypedVerdicts(t *testing.T) {
	h := consumer.Typed(func(_ context.Context, _ *consumer.Message, got *order) error {
		if got == nil {
			return errors.New("the pointer is nil")
		}
		return nil
	})
	for _, tc := range []struct {
		contentType, payload string
		want                 consumer.Kind
		reason               string
	}{
		{"", `{"id":"1"}`, consumer.Handled, ""},
		{"application/json; charset=utf-8", `{"id":"1"}`, consumer.Handled, ""},
		{"application/json", `null`, consumer.Handled, ""},
		{"application/json", `{"id":1}`, consumer.DeadLettered, "can't be read as application/json into *consumer_test.order: json: cannot unmarshal number"},
		{"application/json", `{`, consumer.DeadLettered, "unexpected end"},
		{"application/xml", `<a/>`, consumer.DeadLettered, `no codec knows the Content-Type "application/xml"`},
	} {
		m := &consumer.Message{Message: binjet.Message{ContentType: tc.contentType, Payload: []byte(tc.payload)}}
		err := h(t.Context(), m)
		if out := (consumer.Config{}).Outcome(err, 1); out.Kind != tc.want || tc.reason != "" && !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s %s: %s, %v", tc.contentType, tc.payload, out.Kind, err)
		}
	}
}

// One value is not another's: what a handler keeps is not written again.
func TestTypedValuesAreNew(t *testing.T) {
	var kept []*order
	h := consumer.Typed(func(_ context.Context, _ *consumer.Message, o *order) error { kept = append(kept, o); return nil })
	for _, id := range []string{"a", "b"} {
		if err := h(t.Context(), encoded(t, codec.JSON{}, map[string]any{"id": id})); err != nil {
			t.Fatal(err)
		}
	}
	if kept[0].ID != "a" || kept[1].ID != "b" {
		t.Fatalf("got %+v, %+v", kept[0], kept[1])
	}
}

func TestTypedNilHandlersAreFaults(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	c.Handle("a", consumer.Typed[order](nil))
	c.HandleBatch("b", consumer.BatchOptions{}, consumer.TypedBatch[order](nil))
	if consumer.TypedTx[order](nil) != nil || consumer.TypedBatchTx[order](nil) != nil {
		t.Error("a nil handler became something")
	}
	if err := c.Run(t.Context()); err == nil || strings.Count(err.Error(), "is nil") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestTypedUsesTheConfigsCodecs(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Codecs = []binjet.Codec{codec.Raw{Type: "text/plain"}}
	c := w.consumer(cfg)
	var got log
	c.Handle(">", consumer.Typed(func(_ context.Context, _ *consumer.Message, s string) error { got.add(s); return nil }))
	w.publish("a", "1", "Content-Type", "text/plain")
	w.run(c)
	eventually(t, "handled", func() bool { return c.Stats().Handled == 1 })
	if got.String() != "payload of 1" {
		t.Errorf("got %s", &got)
	}
}

func TestUnknownTypes(t *testing.T) {
	for how, ended := range map[consumer.Unknown]func(consumer.Stats) bool{
		0:                          func(s consumer.Stats) bool { return s.DeadLettered == 1 },
		consumer.UnknownDeadLetter: func(s consumer.Stats) bool { return s.DeadLettered == 1 },
		consumer.UnknownSkip:       func(s consumer.Stats) bool { return s.Skipped == 1 },
		consumer.UnknownHandBack:   func(s consumer.Stats) bool { return s.Deferred >= 3 && s.Retried == 0 },
	} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			w := newWorld(t)
			cfg := w.config()
			cfg.UnknownType, cfg.MaxDeliver = how, 1
			cfg.Backoff.Max = 20 * time.Millisecond
			c := w.consumer(cfg)
			c.Handle(">", consumer.Typed(func(context.Context, *consumer.Message, order) error { return nil }))
			w.publish("a", "1", "Content-Type", "application/xml")
			w.run(c)
			eventually(t, "it ended so", func() bool { return ended(c.Stats()) })
			if how == consumer.UnknownSkip {
				w.settled()
			}
		})
	}
}

func TestUnknownTopics(t *testing.T) {
	for how, ended := range map[consumer.Unknown]func(consumer.Stats) bool{
		consumer.UnknownDeadLetter: func(s consumer.Stats) bool { return s.DeadLettered == 1 },
		consumer.UnknownSkip:       func(s consumer.Stats) bool { return s.Skipped == 1 },
		consumer.UnknownHandBack:   func(s consumer.Stats) bool { return s.Deferred >= 2 },
	} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			w := newWorld(t)
			cfg := w.config()
			cfg.UnknownTopic = how
			c := w.consumer(cfg)
			c.Handle("a", nothing)
			w.run(c)
			w.publish("a", "1")
			eventually(t, "it runs", func() bool { return c.Stats().Handled == 1 })
			w.widen("outbox.>")
			w.publish("b", "2")
			eventually(t, "it ended so", func() bool { return ended(c.Stats()) })
			if how == consumer.UnknownDeadLetter && len(w.deadLetters()) != 1 {
				t.Error("there is no dead letter")
			}
		})
	}
}

func TestExpiredMessagesAreNotRun(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	held, release := make(chan struct{}), make(chan struct{})
	var ran log
	c.Handle("first", func(context.Context, *consumer.Message) error { close(held); <-release; return nil })
	c.HandleBatch("a", consumer.BatchOptions{MaxMessages: 2, MaxWait: patience}, func(_ context.Context, msgs []*consumer.Message) error {
		ran.add(idsOf(msgs))
		return nil
	})
	w.publish("first", "0")
	w.run(c)
	<-held
	w.publish("a", "late", binjet.HeaderTTL, "1s")
	w.publish("a", "1", binjet.HeaderTTL, "1h")
	w.publish("a", "2", binjet.HeaderTTL, "never")
	eventually(t, "they are buffered", func() bool { return c.Stats().Held == 4 })
	stream, err := w.js.Stream(t.Context(), "OUTBOX")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker has dropped it", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 3
	})
	close(release)
	eventually(t, "the others are handled", func() bool { s := c.Stats(); return s.Handled == 3 && s.Expired == 1 })
	if ran.String() != "1,2" {
		t.Errorf("ran %s", &ran)
	}
}

func TestTypedBatchLeavesOutWhatItCannotRead(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Codecs = []binjet.Codec{codec.Raw{Type: "text/plain"}, spoiled{}}
	cfg.UnknownType = consumer.UnknownSkip
	cfg.MaxDeliver = 1
	c := w.consumer(cfg)
	var ran log
	c.HandleBatch(">", consumer.BatchOptions{MaxMessages: 5, MaxWait: patience},
		consumer.TypedBatch(func(_ context.Context, items []consumer.Item[string]) error {
			var values []string
			for _, i := range items {
				values = append(values, i.ID+"="+strings.ReplaceAll(i.Value, " ", "-"))
			}
			ran.add(strings.Join(values, ","))
			return consumer.BatchError{"3": errors.New("boom")}
		}))
	w.publish("a", "1", "Content-Type", "text/plain")
	w.publish("a", "2", "Content-Type", "application/xml")
	w.publish("a", "3", "Content-Type", "text/plain")
	w.publish("a", "4", "Content-Type", "application/spoiled")
	w.publish("a", "5", "Content-Type", "text/plain")
	w.run(c)
	eventually(t, "each ended by itself", func() bool {
		s := c.Stats()
		return s.Handled == 2 && s.Skipped == 1 && s.DeadLettered == 2
	})
	if want := "1=payload-of-1,3=payload-of-3,5=payload-of-5"; ran.String() != want {
		t.Errorf("ran %s, want %s", &ran, want)
	}
	var reasons []string
	for _, m := range w.deadLetters() {
		reasons = append(reasons, m.Header.Get(binjet.HeaderDeadReason))
	}
	slices.Sort(reasons)
	if len(reasons) != 2 || reasons[0] != "boom" || !strings.HasSuffix(reasons[1], "into string: spoiled") {
		t.Errorf("reasons are %q", reasons)
	}
}

// spoiled is a codec that can't read anything.
type spoiled struct{ binjet.Codec }

func (spoiled) ContentType() string         { return "application/spoiled" }
func (spoiled) Unmarshal([]byte, any) error { return errors.New("spoiled") }
