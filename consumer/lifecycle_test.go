package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
)

func nothing(context.Context, *consumer.Message) error { return nil }

func TestGoesOnAfterBrokerRestart(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Concurrency = 4
	c := w.consumer(cfg)
	var got log
	c.Handle(">", func(_ context.Context, m *consumer.Message) error { got.add(m.ID); return nil })
	for i := range 300 {
		w.publish("a", fmt.Sprint(i))
	}
	w.run(c)
	eventually(t, "some are handled", func() bool { return got.count() >= 20 })
	w.srv.Restart()
	eventually(t, "connected again", w.nc.IsConnected)
	for i := range 50 {
		w.publish("a", fmt.Sprint("late", i))
	}
	eventually(t, "all handled", func() bool { return c.Stats().Handled == 350 })
	w.settled()
	if got.count() != 350 {
		t.Fatalf("%d runs for 350 messages", got.count())
	}
}

func TestRecreatesDeletedConsumer(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	var got log
	c.Handle(">", func(_ context.Context, m *consumer.Message) error { got.add(m.ID); return nil })
	w.publish("a", "1")
	w.run(c)
	eventually(t, "the first is handled", func() bool { return c.Stats().Handled == 1 })
	if err := w.js.DeleteConsumer(t.Context(), "OUTBOX", "c"); err != nil {
		t.Fatal(err)
	}
	w.publish("a", "2")
	eventually(t, "the second is handled, the first known", func() bool {
		s := c.Stats()
		return s.Handled == 2 && s.Duplicates == 1
	})
	if got.String() != "1 2" {
		t.Fatalf("got %s", &got)
	}
}

func TestDrainFinishesWhatRunsAndHandsBackTheRest(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.AckWait = time.Hour // what is not handed back would stay away
	c := w.consumer(cfg)
	started, release := make(chan struct{}), make(chan struct{})
	c.Handle(">", func(ctx context.Context, m *consumer.Message) error {
		close(started)
		<-release
		return ctx.Err()
	})
	for i := range 5 {
		w.publish("a", fmt.Sprint(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-started
	eventually(t, "one is buffered", func() bool { return c.Stats().Held == 2 })
	cancel()
	eventually(t, "the buffered one is handed back", func() bool { return c.Stats().Deferred == 1 })
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Handled != 1 || s.Held != 0 {
		t.Fatalf("got %+v", s)
	}
	next := w.consumer(cfg)
	next.Handle(">", nothing)
	w.run(next)
	eventually(t, "the rest is handled by the next process", func() bool { return next.Stats().Handled == 4 })
}

func TestDrainTimeoutCancelsHandlers(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.DrainTimeout = 10 * time.Millisecond
	c := w.consumer(cfg)
	started := make(chan struct{})
	c.Handle(">", func(ctx context.Context, _ *consumer.Message) error {
		close(started)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	w.publish("a", "1")
	stop := w.run(c)
	<-started
	if err := stop(); !errors.Is(err, consumer.ErrDrainTimeout) {
		t.Fatalf("got %v", err)
	}
	if s := c.Stats(); s.Deferred != 1 || s.Retried != 0 {
		t.Fatalf("got %+v", s)
	}
}

func TestProcessesShareTheWork(t *testing.T) {
	w := newWorld(t)
	var got log
	total := func(cs []*consumer.Consumer) (n uint64) {
		for _, c := range cs {
			n += c.Stats().Handled
		}
		return n
	}
	var all []*consumer.Consumer
	for range 3 {
		c := w.consumer(w.config())
		c.Handle(">", func(_ context.Context, m *consumer.Message) error { got.add(m.ID); return nil })
		all = append(all, c)
	}
	for i := range 300 {
		w.publish("a", fmt.Sprint(i))
	}
	for _, c := range all {
		w.run(c)
	}
	eventually(t, "all handled", func() bool { return total(all) == 300 })
	w.settled()
	if got.count() != 300 {
		t.Fatalf("%d runs", got.count())
	}
}

func TestPartitionedStream(t *testing.T) {
	w := newWorld(t, "8")
	c := w.consumer(w.config())
	var got log
	c.Handle("orders.created", func(_ context.Context, m *consumer.Message) error { got.add(m.Topic); return nil })
	w.publishOn(binjet.Subject("outbox", "orders.created", "key", 8), "orders.created", "1")
	w.publishOn("outbox.5.orders.created", "", "2") // the topic comes from the subject
	w.run(c)
	eventually(t, "both handled", func() bool { return c.Stats().Handled == 2 })
	if got.String() != "orders.created orders.created" {
		t.Fatalf("got %s", &got)
	}
}

func TestMessageForAnotherProcessIsHandedBack(t *testing.T) {
	w := newWorld(t)
	old := w.consumer(w.config())
	old.Handle("a", nothing)
	w.run(old)
	w.publish("a", "1")
	eventually(t, "the old one runs", func() bool { return old.Stats().Handled == 1 })
	w.widen("outbox.>")
	w.publish("b", "2")
	eventually(t, "it is handed back, more than once", func() bool { return old.Stats().Deferred >= 2 })
	if s := old.Stats(); s.DeadLettered+s.Retried > 0 {
		t.Fatalf("got %+v", s)
	}
}

func TestMarkerOfTheBrokerIsIgnored(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	c.Handle(">", nothing)
	w.publish("a", "", "Nats-Marker-Reason", "MaxAge")
	w.run(c)
	eventually(t, "ignored", func() bool { return c.Stats().Ignored == 1 })
}

func TestAdaptsAnExistingConsumer(t *testing.T) {
	w := newWorld(t)
	start := time.Now().Add(-time.Hour)
	_, err := w.js.CreateConsumer(t.Context(), "OUTBOX", jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "outbox.old", MaxDeliver: 3,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &start,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := w.consumer(w.config())
	c.Handle("b", nothing)
	c.Handle("a.*", nothing)
	w.run(c)
	w.publish("b", "1")
	eventually(t, "handled", func() bool { return c.Stats().Handled == 1 })
	cons, err := w.js.Consumer(t.Context(), "OUTBOX", "c")
	if err != nil {
		t.Fatal(err)
	}
	cfg := cons.CachedInfo().Config
	if !slices.Equal(cfg.FilterSubjects, []string{"outbox.a.*", "outbox.b"}) || cfg.FilterSubject != "" ||
		cfg.MaxDeliver != -1 || cfg.AckWait != time.Second || cfg.DeliverPolicy != jetstream.DeliverByStartTimePolicy {
		t.Fatalf("got %+v", cfg)
	}
}

func TestRunRefusesWhatCannotHeal(t *testing.T) {
	w := newWorld(t)
	other := func(name string, cfg jetstream.ConsumerConfig) {
		t.Helper()
		cfg.Durable = name
		var err error
		if cfg.DeliverSubject != "" {
			_, err = w.js.CreatePushConsumer(t.Context(), "OUTBOX", cfg)
		} else {
			_, err = w.js.CreateConsumer(t.Context(), "OUTBOX", cfg)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other("push", jetstream.ConsumerConfig{DeliverSubject: "somewhere", AckPolicy: jetstream.AckExplicitPolicy})
	other("ackall", jetstream.ConsumerConfig{AckPolicy: jetstream.AckAllPolicy})
	for name, tc := range map[string]struct {
		change func(*consumer.Config)
		add    func(*consumer.Consumer)
		want   string
	}{
		"no stream":    {change: func(c *consumer.Config) { c.Stream = "NONE" }, want: "binjet init"},
		"push":         {change: func(c *consumer.Config) { c.Name = "push" }, want: "push consumer"},
		"ack policy":   {change: func(c *consumer.Config) { c.Name = "ackall" }, want: "explicit"},
		"overlap":      {add: func(c *consumer.Consumer) { c.Handle("*", nothing) }, want: "overlap"},
		"bad pattern":  {add: func(c *consumer.Consumer) { c.Handle("b..", nothing) }, want: "b.."},
		"nil handler":  {add: func(c *consumer.Consumer) { c.Handle("b", nil) }, want: "nil"},
		"nil database": {add: func(c *consumer.Consumer) { c.HandleTx("b", nil, nil) }, want: "nil"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := w.config()
			if tc.change != nil {
				tc.change(&cfg)
			}
			c := w.consumer(cfg)
			c.Handle("a", nothing)
			if tc.add != nil {
				tc.add(c)
			}
			if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want something with %q", err, tc.want)
			}
		})
	}
	if err := w.consumer(w.config()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no handler") {
		t.Fatalf("without handlers: %v", err)
	}
}

func TestRunOnce(t *testing.T) {
	w := newWorld(t)
	c := w.consumer(w.config())
	c.Handle(">", nothing)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); err == nil {
		t.Fatal("a second Run is possible")
	}
	defer func() {
		if recover() == nil {
			t.Fatal("a handler can be added after Run")
		}
	}()
	c.Handle("late", nothing)
}

func TestClosedConnectionEndsRun(t *testing.T) {
	w := newWorld(t)
	nc := w.srv.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := consumer.New(js, w.config())
	if err != nil {
		t.Fatal(err)
	}
	c.Handle(">", nothing)
	w.publish("a", "1")
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	eventually(t, "it runs", func() bool { return c.Stats().Handled == 1 })
	nc.Close()
	if err := <-done; !errors.Is(err, nats.ErrConnectionClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestMiddlewareOrderTimeoutAndHooks(t *testing.T) {
	w := newWorld(t)
	var got log
	mark := func(name string) consumer.Middleware {
		return func(next consumer.Handler) consumer.Handler {
			return func(ctx context.Context, m *consumer.Message) error {
				got.add(name)
				return next(ctx, m)
			}
		}
	}
	cfg := w.config()
	cfg.MaxDeliver = 1
	cfg.Middleware = []consumer.Middleware{mark("1"), mark("2")}
	cfg.Hooks = consumer.Hooks{
		Start:        func(*consumer.Message) { got.add("start") },
		BeforeSettle: func(_ *consumer.Message, o consumer.Outcome) { got.add("before-" + o.Kind.String()) },
		AfterSettle:  func(_ *consumer.Message, o consumer.Outcome) { got.add("after-" + o.Kind.String()) },
	}
	c := w.consumer(cfg)
	c.Handle(">", func(ctx context.Context, _ *consumer.Message) error {
		<-ctx.Done()
		got.add(context.Cause(ctx).Error())
		return ctx.Err()
	}, mark("3"), consumer.Timeout(time.Millisecond), consumer.Logging(cfg.Logger))
	w.publish("a", "1")
	w.run(c)
	want := "start 1 2 3 " + consumer.ErrTimeout.Error() + " before-dead-lettered after-dead-lettered"
	eventually(t, "the message is dead", func() bool { return strings.HasSuffix(got.String(), "after-dead-lettered") })
	if got.String() != want {
		t.Fatalf("got  %s\nwant %s", &got, want)
	}
}
