package consumer_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

func event(id, topic string) *consumer.Message {
	return &consumer.Message{Message: binjet.Message{ID: id, Topic: topic, Payload: []byte("x")}}
}

// mark returns hooks that write down when they are called, under a name.
func mark(got *log, name string) consumer.Hooks {
	type key struct{}
	return consumer.Hooks{
		Start: func(*consumer.Message) { got.add(name + ":start") },
		Context: func(ctx context.Context, m *consumer.Message) context.Context {
			got.add(name + ":begin")
			return context.WithValue(ctx, key{}, name+m.ID)
		},
		Ended: func(ctx context.Context, m *consumer.Message, out consumer.Outcome) {
			if own, _ := ctx.Value(key{}).(string); !strings.Contains(own, m.ID) {
				got.add(name + ":lost-its-context")
			}
			got.add(name + ":end-" + out.Kind.String())
		},
		BatchContext: func(ctx context.Context, msgs []*consumer.Message) context.Context {
			got.add(name + ":batch")
			return ctx
		},
		BatchEnded: func(_ context.Context, msgs []*consumer.Message, err error) {
			if err != nil {
				got.add(name + ":batch-" + err.Error())
				return
			}
			got.add(name + ":batch-ok")
		},
	}
}

// Hooks are called in their order, ends in the other one, and every beginning has its
// end, whatever the handler does.
func TestHooksInTheirOrder(t *testing.T) {
	var got log
	c, err := consumer.NewOffline(consumer.Config{Logger: slog.New(slog.DiscardHandler), Hooks: mark(&got, "a").And(consumer.Hooks{}).And(mark(&got, "b"))})
	if err != nil {
		t.Fatal(err)
	}
	c.Handle("one", func(_ context.Context, m *consumer.Message) error {
		got.add("run")
		switch m.ID {
		case "exit":
			runtime.Goexit()
		case "fail":
			return errors.New("no")
		}
		return nil
	})
	c.HandleBatch("many", consumer.BatchOptions{}, func(_ context.Context, msgs []*consumer.Message) error {
		got.add("run")
		if len(msgs) > 1 {
			return errors.New("both")
		}
		return nil
	})
	for _, test := range []struct {
		msgs []*consumer.Message
		want string
	}{
		{[]*consumer.Message{event("1", "one")}, "a:start b:start a:begin b:begin run b:end-handled a:end-handled"},
		{[]*consumer.Message{event("1", "one")}, "a:start b:start a:begin b:begin b:end-duplicate a:end-duplicate"},
		{[]*consumer.Message{event("fail", "one")}, "a:start b:start a:begin b:begin run b:end-retried a:end-retried"},
		{[]*consumer.Message{event("exit", "one")}, "a:start b:start a:begin b:begin run b:end-retried a:end-retried"},
		{[]*consumer.Message{event("m1", "many"), event("m2", "many")}, "a:start b:start a:start b:start a:batch b:batch run b:batch-both a:batch-both " +
			"a:start b:start a:batch b:batch run b:batch-ok a:batch-ok a:start b:start a:batch b:batch run b:batch-ok a:batch-ok"},
	} {
		got.mu.Lock()
		got.seen = nil
		got.mu.Unlock()
		if _, err := c.Try(t.Context(), test.msgs...); err != nil {
			t.Fatal(err)
		}
		if got.String() != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.msgs[0].ID, &got, test.want)
		}
	}
}
