package relay

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

// dead returns the dead letters, in stream order.
func dead(t *testing.T, nc *nats.Conn) (letters []*jetstream.RawStreamMsg) {
	t.Helper()
	js, _ := jetstream.New(nc)
	s, err := js.Stream(t.Context(), "OUTBOX_DLQ")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		msg, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, msg)
	}
	return letters
}

func TestRowsThatCantBePublishedAreQuarantined(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	tx := src.commit(5, []byte("p"))
	tx.Messages[1].Topic = "no topic"
	tx.Invalid = []checkpoint.Invalid{{Index: 1, Reason: "table shop.outbox: topic holds white space", Headers: []byte("{")}}
	tx.Messages[2].Payload = bytes.Repeat([]byte("x"), 2_500_000)
	tx.Messages[3].Headers = binjet.Headers{binjet.HeaderTTL: {"soon"}}
	tx.Messages[4].Headers = binjet.Headers{"X-Long": {strings.Repeat("h", 70_000)}}
	src.commit(1, []byte("p"))
	var told []string
	r := start(t, Config{Source: src, Conn: nc, Hooks: Hooks{Quarantined: func(id, _ string) { told = append(told, id) }}})
	eventually(t, "the events that can be published", published(r, 3))
	if got, want := streamed(t, nc), []string{"1.1", "2.1", "3.1"}; !slices.Equal(got, want) {
		t.Fatalf("stream holds %v, want %v", got, want)
	}
	eventually(t, "the position", func() bool { return strings.HasSuffix(r.Status().Checkpoint.Resume.String(), ":1-3") })
	r.halt(t)
	if want := []string{"2.2", "2.3", "2.4", "2.5"}; !slices.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
	letters := dead(t, nc)
	topic := letters[0]
	if topic.Subject != "dlq.OUTBOX.shop._invalid" || topic.Header.Get(binjet.HeaderDeadReason) != tx.Invalid[0].Reason ||
		topic.Header.Get(binjet.HeaderDeadHeaders) != base64.StdEncoding.EncodeToString([]byte("{")) || string(topic.Data) != "p" {
		t.Errorf("the row without a topic lies as %+v", topic)
	}
	var large []byte
	for i, part := range letters[1:4] {
		if got := part.Header.Get(binjet.HeaderDeadPart); got != []string{"1/3", "2/3", "3/3"}[i] || part.Header.Get(binjet.HeaderID) != "2.3" {
			t.Errorf("part %d is %q of %q", i, got, part.Header.Get(binjet.HeaderID))
		}
		large = append(large, part.Data...)
	}
	if !bytes.Equal(large, tx.Messages[2].Payload) {
		t.Errorf("the parts of the large payload are %d bytes, want %d", len(large), len(tx.Messages[2].Payload))
	}
	if len(letters) != 7 {
		t.Fatalf("%d letters, want 7", len(letters))
	}
	if reason := letters[4].Header.Get(binjet.HeaderDeadReason); !strings.Contains(reason, "Nats-TTL") {
		t.Errorf("the row with a bad expiry lies there because of %q", reason)
	}
	if last := letters[6]; last.Header.Get(binjet.HeaderDeadPart) != "headers 1/1" || !strings.Contains(string(last.Data), strings.Repeat("h", 70_000)) {
		t.Errorf("the long headers lie as %q with %d bytes", last.Header.Get(binjet.HeaderDeadPart), len(last.Data))
	}
}

// TestQuarantineWaitsForItsStream: without a dead-letter stream the position
// stays in front of the row, visibly.
func TestQuarantineWaitsForItsStream(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the first event", published(r, 1))
	js, _ := jetstream.New(nc)
	if err := js.DeleteStream(t.Context(), "OUTBOX_DLQ"); err != nil {
		t.Fatal(err)
	}
	src.commit(1, bytes.Repeat([]byte("x"), 2_000_000))
	src.commit(1, []byte("p"))
	eventually(t, "trouble", func() bool { return strings.Contains(r.Status().Trouble, "OUTBOX_DLQ") })
	if got := r.Status().Checkpoint; got.Count != 1 || !strings.HasSuffix(got.Resume.String(), ":1") {
		t.Fatalf("the position moved past a row that lies nowhere: %+v", got)
	}
	if err := r.Prepare(t.Context()); err != nil { // makes the stream again
		t.Fatal(err)
	}
	eventually(t, "the event behind it", published(r, 2))
	if n := len(dead(t, nc)); n != 2 {
		t.Fatalf("%d dead letters, want the row in 2 parts", n)
	}
}

func TestInvalidHaltsWhenAsked(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	src.commit(1, []byte("p"))
	tx := src.commit(2, []byte("p"))
	tx.Invalid = []checkpoint.Invalid{{Index: 1, Reason: "no topic"}}
	r := start(t, Config{Source: src, Conn: srv.Connect(t), OnInvalid: Halt})
	<-r.done
	var halt *checkpoint.HaltError
	if !errors.As(r.err, &halt) || !strings.Contains(halt.Problem, `"2.2"`) || !strings.Contains(halt.Problem, "no topic") {
		t.Fatalf("err = %v", r.err)
	}
	if got := streamed(t, srv.Connect(t)); !slices.Equal(got, []string{"1.1"}) {
		t.Fatalf("stream holds %v", got)
	}
}
