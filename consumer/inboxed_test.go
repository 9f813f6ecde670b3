package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// failingInbox can't be asked until its count of failures is used up.
type failingInbox struct {
	inbox.Inbox
	failures atomic.Int64
}

func (f *failingInbox) Claim(ctx context.Context, consumer, id string) (inbox.Claim, error) {
	if f.failures.Add(-1) >= 0 {
		return nil, errors.New("the inbox is down")
	}
	return f.Inbox.Claim(ctx, consumer, id)
}

func TestWaitsForItsInbox(t *testing.T) {
	w := newWorld(t)
	in := &failingInbox{Inbox: inbox.NewMemory(0)}
	in.failures.Store(3)
	cfg := w.config()
	cfg.Inbox, cfg.MaxDeliver = in, 1
	c := w.consumer(cfg)
	c.Handle(">", nothing)
	w.publish("a", "1")
	w.run(c)
	eventually(t, "handled", func() bool { return c.Stats().Handled == 1 })
	if s := c.Stats(); s.Retried+s.Deferred+s.DeadLettered > 0 {
		t.Fatalf("got %+v", s)
	}
}

// conflictingInbox loses its first claims against another transaction.
type conflictingInbox struct{ failingInbox }

func (f *conflictingInbox) Claim(ctx context.Context, consumer, id string) (inbox.Claim, error) {
	c, err := f.failingInbox.Claim(ctx, consumer, id)
	if err != nil {
		err = fmt.Errorf("%w: %w", inbox.ErrConflict, err)
	}
	return c, err
}

// A claim that only lost does not wait out the backoff.
func TestAClaimThatLostIsMadeAgainAtOnce(t *testing.T) {
	w := newWorld(t)
	in := &conflictingInbox{}
	in.Inbox = inbox.NewMemory(0)
	in.failures.Store(3)
	cfg := w.config()
	cfg.Inbox = in
	cfg.Backoff = consumer.Backoff{Min: time.Hour, Max: time.Hour}
	c := w.consumer(cfg)
	c.Handle(">", nothing)
	w.publish("a", "1")
	w.run(c)
	eventually(t, "handled", func() bool { return c.Stats().Handled == 1 })
}

func TestStopsWhileItsInboxIsDown(t *testing.T) {
	w := newWorld(t)
	in := &failingInbox{Inbox: inbox.NewMemory(0)}
	in.failures.Store(1 << 40)
	waits := make(chan error, 1)
	cfg := w.config()
	cfg.Inbox, cfg.MaxDeliver = in, 1
	cfg.Backoff = consumer.Backoff{Min: time.Hour, Max: time.Hour}
	cfg.Hooks.Waiting = func(_ *consumer.Message, err error) { waits <- err }
	c := w.consumer(cfg)
	c.Handle(">", nothing)
	w.publish("a", "1")
	stop := w.run(c)
	<-waits
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Deferred != 1 || s.DeadLettered > 0 {
		t.Fatalf("got %+v", s)
	}
}
