package testdb

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/natstest"
)

// TestGivenBroker: what a test made on it is gone when the test ends, and what was there
// before is in nobody's way: it is refused.
func TestGivenBroker(t *testing.T) {
	srv := natstest.Start(t)
	t.Setenv("BINJET_TEST_NATS_URL", srv.URL())
	js, err := jetstream.New(srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		t.Run("used", func(t *testing.T) {
			if b := NewBroker(t); b.URL() != srv.URL() {
				t.Errorf("the broker is at %s", b.URL())
			}
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX"}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := (given{srv.URL()}).empty(t.Context(), js); err != nil {
		t.Errorf("behind the tests: %v", err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MINE"}); err != nil {
		t.Fatal(err)
	}
	if err := (given{srv.URL()}).empty(t.Context(), js); err == nil || !strings.Contains(err.Error(), "MINE") {
		t.Errorf("with a stream of another's: %v", err)
	}
}
