package consumertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumertest"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/producer/codec"
	"github.com/binjet/binjet/producer/codec/msgpack"
)

type order struct{ ID string }

func message(id string) *consumer.Message {
	return &consumer.Message{Message: binjet.Message{ID: id, Topic: "orders.created"}}
}

func TestRun(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		handler consumer.Handler
		attempt int
		want    consumer.Kind
	}{
		"success":      {func(context.Context, *consumer.Message) error { return nil }, 0, consumer.Handled},
		"error":        {func(context.Context, *consumer.Message) error { return boom }, 0, consumer.Retried},
		"last attempt": {func(context.Context, *consumer.Message) error { return boom }, 10, consumer.DeadLettered},
		"discard":      {func(context.Context, *consumer.Message) error { return consumer.Discard(boom) }, 0, consumer.DeadLettered},
		"panic":        {func(context.Context, *consumer.Message) error { panic(boom) }, 0, consumer.Retried},
	} {
		m := message("1")
		m.Attempt = tc.attempt
		out := consumertest.Run(t, tc.handler, m)
		if out.Kind != tc.want || tc.want != consumer.Handled && !errors.Is(out.Err, boom) {
			t.Errorf("%s: %s, %v", name, out.Kind, out.Err)
		}
	}
	later := func(context.Context, *consumer.Message) error { return consumer.RetryAfter(time.Hour, boom) }
	if out := consumertest.Run(t, later, message("1")); out.Kind != consumer.Retried || out.Delay != time.Hour {
		t.Errorf("got %s after %s", out.Kind, out.Delay)
	}
	future := message("1")
	future.DeliverAt = time.Now().Add(time.Hour)
	if out := consumertest.Run(t, later, future); out.Kind != consumer.Deferred {
		t.Errorf("before its time: %s", out.Kind)
	}
	late := message("1")
	late.ExpireAfter, late.Published = time.Minute, time.Now().Add(-time.Hour)
	if out := consumertest.Run(t, later, late); out.Kind != consumer.Expired {
		t.Errorf("after its time: %s", out.Kind)
	}
}

func TestRunFillsInTheMessage(t *testing.T) {
	out := consumertest.Run(t, func(_ context.Context, m *consumer.Message) error {
		if m.ID == "" || m.Topic == "" || m.Attempt != 1 || m.Sequence == 0 || m.Published.IsZero() {
			return fmt.Errorf("got %+v", m)
		}
		return nil
	}, &consumer.Message{})
	if out.Kind != consumer.Handled {
		t.Error(out.Err)
	}
}

func TestRunUsesTheConfig(t *testing.T) {
	var ran []string
	in := inbox.NewMemory(0)
	r := consumertest.Runner{Config: consumer.Config{
		Codecs: []binjet.Codec{msgpack.Codec{}}, Inbox: in, UnknownType: consumer.UnknownSkip,
		Middleware: []consumer.Middleware{func(next consumer.Handler) consumer.Handler {
			return func(ctx context.Context, m *consumer.Message) error { ran = append(ran, "outer"); return next(ctx, m) }
		}},
	}}
	h := consumer.Typed(func(_ context.Context, _ *consumer.Message, o order) error { ran = append(ran, o.ID); return nil })
	m := consumertest.Message(t, "orders.created", msgpack.Codec{}, order{"o-1"})
	m.ID = "1"
	if out := r.Run(t, h, m); out.Kind != consumer.Handled || !slices.Equal(ran, []string{"outer", "o-1"}) {
		t.Errorf("%s, %v: ran %v", out.Kind, out.Err, ran)
	}
	if out := r.Run(t, h, m); out.Kind != consumer.Duplicate {
		t.Errorf("the second time: %s", out.Kind)
	}
	unknown := consumertest.Message(t, "orders.created", codec.Raw{}, "x")
	if out := r.Run(t, h, unknown); out.Kind != consumer.Skipped {
		t.Errorf("an unknown type: %s", out.Kind)
	}
}

func TestRunBatchPartsIt(t *testing.T) {
	var batches []string
	outs := consumertest.RunBatch(t, func(_ context.Context, msgs []*consumer.Message) error {
		var ids []string
		for _, m := range msgs {
			ids = append(ids, m.ID)
		}
		batches = append(batches, strings.Join(ids, ","))
		if slices.Contains(ids, "3") {
			return errors.New("boom")
		}
		return nil
	}, message("1"), message("2"), message("3"), message("4"))
	var kinds []string
	for _, out := range outs {
		kinds = append(kinds, out.Kind.String())
	}
	if got := strings.Join(kinds, " "); got != "handled handled retried handled" {
		t.Errorf("outcomes are %s", got)
	}
	if got := strings.Join(batches, " "); got != "1,2,3,4 1,2 3,4 3 4" {
		t.Errorf("batches are %s", got)
	}
}

// spy is a test that reports what it would log.
type spy struct {
	testing.TB
	failed   bool
	cleanups []func()
	logged   string
}

func (s *spy) Failed() bool             { return s.failed }
func (s *spy) Cleanup(f func())         { s.cleanups = append(s.cleanups, f) }
func (s *spy) Logf(f string, as ...any) { s.logged += fmt.Sprintf(f, as...) }

func TestChaosSaysItsSeedOnFailure(t *testing.T) {
	for _, failed := range []bool{false, true} {
		s := &spy{TB: t, failed: failed}
		i := consumertest.Chaos{}.Start(s)
		for _, f := range s.cleanups {
			f()
		}
		if failed != strings.Contains(s.logged, fmt.Sprintf("Seed: %d", i.Seed())) || i.Seed() == 0 {
			t.Errorf("failed %t, seed %d: logged %q", failed, i.Seed(), s.logged)
		}
	}
}

// trace is what a chaos does to 50 messages.
func trace(t *testing.T, c consumertest.Chaos) string {
	var seen []string
	i := c.Start(t)
	h := consumer.Recover()(i.Middleware()(func(_ context.Context, m *consumer.Message) error { seen = append(seen, m.ID); return nil }))
	var msgs []*consumer.Message
	for n := range 50 {
		msgs = append(msgs, message(fmt.Sprint(n)))
	}
	for _, m := range i.Deliveries(msgs...) {
		if err := h(t.Context(), m); err != nil {
			if !errors.Is(err, consumertest.ErrInjected) {
				t.Errorf("an error from elsewhere: %v", err)
			}
			seen = append(seen, err.Error())
		}
	}
	return strings.Join(seen, " ")
}

func TestChaosIsTheSameForASeed(t *testing.T) {
	c := consumertest.Chaos{Seed: 7, Fail: .2, FailAfter: .2, Panic: .2, Duplicate: .3, Reorder: .3}
	first := trace(t, c)
	if again := trace(t, c); again != first {
		t.Errorf("the same seed did\n%s\nand then\n%s", first, again)
	}
	for _, want := range []string{"injected by consumertest: panic", "consumertest: before", "consumertest: after"} {
		if !strings.Contains(first, want) {
			t.Errorf("nothing %s in %s", want, first)
		}
	}
	c.Seed = 8
	if trace(t, c) == first {
		t.Error("another seed did the same")
	}
}

func TestDeliveriesHaveAllAndCopies(t *testing.T) {
	i := consumertest.Chaos{Seed: 1, Duplicate: 1, Reorder: 1}.Start(t)
	var msgs []*consumer.Message
	for n := range 20 {
		msgs = append(msgs, message(fmt.Sprint(n)))
	}
	count := map[string]int{}
	for _, m := range i.Deliveries(msgs...) {
		count[m.ID]++
	}
	for _, m := range msgs {
		if count[m.ID] != 2 {
			t.Errorf("message %s is there %d times", m.ID, count[m.ID])
		}
	}
}

func TestBatchChaos(t *testing.T) {
	i := consumertest.Chaos{Seed: 1, Panic: 1}.Start(t)
	r := consumertest.Runner{Config: consumer.Config{BatchMiddleware: []consumer.BatchMiddleware{i.BatchMiddleware()}}}
	outs := r.RunBatch(t, func(context.Context, []*consumer.Message) error { return nil }, message("1"), message("2"))
	for _, out := range outs {
		if out.Kind != consumer.Retried || !errors.Is(out.Err, consumertest.ErrInjected) {
			t.Errorf("%s, %v", out.Kind, out.Err)
		}
	}
}

// A handler that is idempotent comes through, and one that is not is found out.
func TestSoak(t *testing.T) {
	chaos := consumertest.Chaos{Seed: 3, Fail: .3, FailAfter: .3, Panic: .1, Duplicate: .5, Reorder: .5}
	var msgs []*consumer.Message
	for n := range 40 {
		m := message(fmt.Sprint(n))
		if n%10 == 0 {
			m.DeliverAt = time.Now().Add(time.Hour)
		}
		msgs = append(msgs, m)
	}
	naive, seen := 0, map[string]bool{}
	for _, out := range consumertest.Soak(t, chaos, func(_ context.Context, m *consumer.Message) error {
		naive++
		seen[m.ID] = true
		return nil
	}, msgs...) {
		if out.Kind != consumer.Handled {
			t.Errorf("one ended %s: %v", out.Kind, out.Err)
		}
	}
	if len(seen) != 40 || naive <= 40 {
		t.Errorf("the idempotent handler has %d effects, the naive one %d", len(seen), naive)
	}
	outs := consumertest.Soak(t, consumertest.Chaos{Fail: 1}, func(context.Context, *consumer.Message) error { return nil }, message("1"))
	if outs[0].Kind != consumer.DeadLettered {
		t.Errorf("what always fails ended %s", outs[0].Kind)
	}
}

// A unit test of a handler.
func ExampleRun() {
	handler := consumer.Typed(func(_ context.Context, _ *consumer.Message, o order) error {
		if o.ID == "" {
			return consumer.Discard(errors.New("an order without an ID"))
		}
		return nil
	})
	_ = func(t *testing.T) {
		out := consumertest.Run(t, handler, consumertest.Message(t, "orders.created", codec.JSON{}, order{}))
		if out.Kind != consumer.DeadLettered {
			t.Errorf("an order without an ID was %s", out.Kind)
		}
	}
}
