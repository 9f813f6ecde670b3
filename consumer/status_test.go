package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/binjet/binjet/consumer"
)

func TestStatusOfALife(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	type key struct{}
	cfg.Hooks.Context = func(ctx context.Context, m *consumer.Message) context.Context {
		return context.WithValue(ctx, key{}, m.Headers.Get("traceparent"))
	}
	c := w.consumer(cfg)
	release := make(chan struct{})
	c.Handle(">", func(ctx context.Context, m *consumer.Message) error {
		if m.ID == "fails" && m.Attempt == 1 {
			return errors.New("once\nonly")
		}
		if ctx.Value(key{}) != "00-1" {
			return consumer.Discard(errors.New("the hook's context is not the handler's"))
		}
		if m.ID == "waits" {
			<-release
		}
		return nil
	})
	if s := c.Status(); s.State != consumer.StateNew || !s.Connected {
		t.Errorf("before Run: %+v", s)
	}
	stop := w.run(c)
	w.publish("a", "fails", "traceparent", "00-1")
	eventually(t, "it is handled", func() bool { return c.Stats().Handled == 1 })
	s := c.Status()
	if s.State != consumer.StateRunning || s.Since.IsZero() || s.LastError != "once only" || s.LastErrorAt.Before(s.Since) || s.Stats.Retried != 1 {
		t.Errorf("running: %+v", s)
	}
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"state":"running"`) || !strings.Contains(string(text), `"breaker":{"state":"closed"}`) {
		t.Errorf("as JSON: %s (%v)", text, err)
	}
	w.publish("a", "waits", "traceparent", "00-1")
	eventually(t, "one runs", func() bool { return c.Status().Stats.Held == 1 })
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	eventually(t, "it drains", func() bool { return c.Status().State == consumer.StateDraining })
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if s := c.Status(); s.State != consumer.StateStopped || s.Stats.Handled != 2 || s.Stats.DeadLettered > 0 {
		t.Errorf("after Run: %+v", s)
	}
}
