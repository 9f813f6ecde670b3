package testdb

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/internal/pause"
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
			create(t, js, "OUTBOX")
		})
	}
	if err := (given{srv.URL()}).empty(t.Context(), js); err != nil {
		t.Errorf("behind the tests: %v", err)
	}
	create(t, js, "MINE")
	if err := (given{srv.URL()}).empty(t.Context(), js); err == nil || !strings.Contains(err.Error(), "MINE") {
		t.Errorf("with a stream of another's: %v", err)
	}
}

// storeFailed is the broker's error code.
const storeFailed = 10049

// create tries for a while, since nats-server removes what is left of an account's last stream
// behind its answer, and a new one may run into that.
func create(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name})
		var refused *jetstream.APIError
		if err == nil {
			return
		}
		if !errors.As(err, &refused) || refused.ErrorCode != storeFailed || pause.For(ctx, 10*time.Millisecond) != nil {
			t.Fatal(err)
		}
	}
}
