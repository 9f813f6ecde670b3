package consumer_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

func TestTry(t *testing.T) {
	c, err := consumer.NewOffline(consumer.Config{Logger: (&world{}).config().Logger})
	if err != nil {
		t.Fatal(err)
	}
	var got log
	c.HandleBatch("batch", consumer.BatchOptions{MaxMessages: 2}, func(_ context.Context, msgs []*consumer.Message) error {
		got.add(idsOf(msgs))
		return nil
	})
	c.Handle("one", func(_ context.Context, m *consumer.Message) error { got.add(m.ID); return nil })
	c.Handle("goexit", func(context.Context, *consumer.Message) error { runtime.Goexit(); return nil })
	m := func(topic, id string) *consumer.Message {
		return &consumer.Message{Message: binjet.Message{ID: id, Topic: topic}}
	}
	msgs := []*consumer.Message{m("batch", "1"), m("batch", "2"), m("batch", "3"), m("one", "4"), m("goexit", "5"),
		m("none", "6"), m("one", ""), m("one", "4"), m("batch", "7")}
	outs, err := c.Try(t.Context(), msgs...)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, out := range outs {
		kinds = append(kinds, out.Kind.String())
	}
	if want := "handled handled handled handled retried deferred dead-lettered duplicate handled"; strings.Join(kinds, " ") != want {
		t.Errorf("got  %v\nwant %s", kinds, want)
	}
	if got.String() != "1,2 3 4 7" {
		t.Errorf("ran %s", &got)
	}
	var wg sync.WaitGroup
	for range 4 { // again, and at the same time
		wg.Go(func() {
			if outs, err := c.Try(t.Context(), m("one", "4")); err != nil || outs[0].Kind != consumer.Duplicate {
				t.Errorf("got %v, %v", outs, err)
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Handled != 5 || s.Duplicates != 5 || s.Held != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestOfflineAndOnlineAreTold(t *testing.T) {
	offline, err := consumer.NewOffline(consumer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := offline.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "no handler") {
		t.Errorf("without handlers: %v", err)
	}
	if err := offline.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "NewOffline") {
		t.Errorf("Run offline: %v", err)
	}
	w := newWorld(t)
	if _, err := w.consumer(w.config()).Try(t.Context()); err == nil {
		t.Error("Try with a broker")
	}
}
