package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/natstest"
)

func TestRestartKeepsPortAndStreams(t *testing.T) {
	s := natstest.Start(t)
	url := s.URL()
	js, err := jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if s.URL() != url {
		t.Fatalf("URL is %s after the restart, was %s", s.URL(), url)
	}
	js, err = jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 1 {
		t.Fatalf("%d messages after the restart, want 1", got)
	}
	s.Stop()
	s.Stop() // the second does nothing, nor does the clean-up
}
