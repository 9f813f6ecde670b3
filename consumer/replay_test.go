package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/natstest"
)

// sick is a consumer whose handler discards everything until it is well.
type sick struct {
	*consumer.Consumer
	well atomic.Bool
	ran  log // "<id> <subject> <sequence> attempt <n> replayed <n>", once it is well
	stop func() error
}

func (w *world) sick(change ...func(*consumer.Config)) *sick {
	cfg := w.config()
	for _, c := range change {
		c(&cfg)
	}
	s := &sick{Consumer: w.consumer(cfg)}
	s.Handle(">", func(_ context.Context, m *consumer.Message) error {
		if !s.well.Load() {
			return consumer.Discard(errors.New("bad " + m.Topic))
		}
		s.ran.add(fmt.Sprintf("%s on %s %d attempt %d replayed %d", m.ID, m.Subject, m.Sequence, m.Attempt, m.Replayed))
		return nil
	})
	s.stop = w.run(s.Consumer)
	return s
}

// readsReplays waits until the consumer c has a durable consumer for them.
func (w *world) readsReplays() {
	w.t.Helper()
	eventually(w.t, "it reads replays", func() bool {
		_, err := w.js.Consumer(w.t.Context(), "OUTBOX_DLQ", "replay-c")
		return err == nil
	})
}

// dies waits until so many dead letters are written, and returns them.
func (s *sick) dies(w *world, n uint64) *consumer.DeadLetters {
	w.t.Helper()
	eventually(w.t, "they are dead", func() bool { return s.Stats().DeadLettered == n })
	w.readsReplays()
	dead, err := consumer.OpenDeadLetters(w.t.Context(), w.js, "OUTBOX")
	if err != nil {
		w.t.Fatal(err)
	}
	return dead
}

func list(t *testing.T, dead *consumer.DeadLetters, f consumer.Filter) (seqs []uint64, ids string) {
	t.Helper()
	for l, err := range dead.List(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, l.Sequence)
		ids += l.Message.ID
	}
	return seqs, ids
}

// noReplays waits until nothing is left of replays: handled, and removed.
func (w *world) noReplays(dead *consumer.DeadLetters, name string) {
	w.t.Helper()
	eventually(w.t, "no replay is left", func() bool {
		n, err := dead.Waiting(w.t.Context(), name)
		if err != nil {
			w.t.Fatal(err)
		}
		s, err := w.js.Stream(w.t.Context(), "OUTBOX_DLQ")
		if err != nil {
			w.t.Fatal(err)
		}
		info, err := s.Info(w.t.Context(), jetstream.WithSubjectFilter("dlq.OUTBOX.$replay.>"))
		if err != nil {
			w.t.Fatal(err)
		}
		return n == 0 && len(info.State.Subjects) == 0
	})
}

func TestReplayRunsAgainForItsConsumerAloneAndOnce(t *testing.T) {
	w := newWorld(t)
	s := w.sick()
	cfg := w.config()
	cfg.Name = "other"
	other := w.consumer(cfg)
	other.Handle(">", nothing)
	w.run(other)
	w.publish("before", "0")
	w.publish("a.b", "1", "X-Own", "kept", binjet.HeaderKey, "k")
	dead := s.dies(w, 2)
	s.well.Store(true)
	seqs, ids := list(t, dead, consumer.Filter{})
	if ids != "01" {
		t.Fatalf("the dead letters are %q", ids)
	}
	l, err := dead.Get(t.Context(), seqs[1])
	if err != nil {
		t.Fatal(err)
	}
	if l.By != "c" || l.Quarantined || l.Reason != "discarded: bad a.b" || l.Attempts != 1 || time.Since(l.At) > time.Minute ||
		l.Message.Topic != "a.b" || l.Message.Key != "k" || l.Message.Headers.Get("X-Own") != "kept" || l.Message.Sequence != 2 ||
		l.Message.Subject != "outbox.a.b" || string(l.Message.Payload) != "payload of 1" || l.Message.Published.IsZero() {
		t.Errorf("got %+v of %+v", l, l.Message)
	}
	if n, err := dead.Replay(t.Context(), seqs[1]); n != 1 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	eventually(t, "it ran", func() bool { return s.ran.count() == 1 })
	if got := s.ran.String(); got != "1 on outbox.a.b 2 attempt 1 replayed 1" {
		t.Errorf("it ran as: %s", got)
	}
	if n, err := dead.Replay(t.Context(), seqs[1]); n != 0 || !errors.Is(err, consumer.ErrNoDeadLetter) {
		t.Errorf("a second time: %d, %v", n, err)
	}
	w.noReplays(dead, "c")
	if _, ids := list(t, dead, consumer.Filter{}); ids != "0" {
		t.Errorf("left are %q", ids)
	}
	if o := other.Stats(); o.Handled != 2 || o.Duplicates > 0 {
		t.Errorf("the other consumer got %+v", o)
	}
}

func TestReplayThatFailsIsADeadLetterAgain(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxDeliver = 3
	c := w.consumer(cfg)
	var runs log
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		runs.add(fmt.Sprintf("%d.%d", m.Replayed, m.Attempt))
		panic("ouch\nagain")
	})
	w.run(c)
	w.publish("a", "1")
	w.readsReplays()
	for replays := range uint64(3) {
		eventually(t, "it is dead", func() bool { return c.Stats().DeadLettered == replays+1 })
		dead, err := consumer.OpenDeadLetters(t.Context(), w.js, "")
		if err != nil {
			t.Fatal(err)
		}
		for l, err := range dead.List(t.Context(), consumer.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if l.Message.Replayed != int(replays) || l.Attempts != 3 || l.Message.Sequence != 1 || l.Message.Subject != "outbox.a" ||
				l.Reason != "handler panicked: ouch again" || !strings.Contains(l.Stack, "replay_test.go") || strings.Count(l.Stack, "\n") < 3 {
				t.Fatalf("after %d replays: %+v of %+v", replays, l, l.Message)
			}
		}
		if n, refused, err := dead.ReplayAll(t.Context(), consumer.Filter{}, consumer.ReplayOptions{}); n != 1 || refused != 0 || err != nil {
			t.Fatalf("replayed %d, refused %d: %v", n, refused, err)
		}
	}
	eventually(t, "it is dead at last", func() bool { return c.Stats().DeadLettered == 4 })
	if got := runs.String(); got != "0.1 0.2 0.3 1.1 1.2 1.3 2.1 2.2 2.3 3.1 3.2 3.3" {
		t.Fatalf("it ran as %s", got)
	}
}

func TestReplayByFilter(t *testing.T) {
	w := newWorld(t)
	s := w.sick()
	for i, topic := range []string{"a.x", "a.y", "b.x", "a.x"} {
		w.publish(topic, fmt.Sprint(i))
	}
	dead := s.dies(w, 4)
	seqs, _ := list(t, dead, consumer.Filter{})
	third, err := dead.Get(t.Context(), seqs[2])
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]consumer.Filter{
		"0123": {}, "013": {Topic: "a.*"}, "03": {Topic: "a.x"}, "2": {Topic: "b.>"}, "1": {ID: "1"}, "01": {Before: third.At},
		"23": {Since: third.At}, "3": {By: "c", From: seqs[3]}, "": {By: "other"},
	} {
		if _, got := list(t, dead, f); got != want {
			t.Errorf("%+v chooses %q, want %q", f, got, want)
		}
	}
	if _, got := list(t, dead, consumer.Filter{Reason: "bad b"}); got != "2" {
		t.Errorf("by reason: %q", got)
	}
	for _, f := range []consumer.Filter{{By: "a b"}, {Topic: "a..b"}} {
		for _, err := range dead.List(t.Context(), f) {
			if err == nil {
				t.Errorf("%+v is taken", f)
			}
		}
	}
	s.well.Store(true)
	if n, _, err := dead.ReplayAll(t.Context(), consumer.Filter{Topic: "a.*"}, consumer.ReplayOptions{PerSecond: 1000}); n != 3 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	eventually(t, "three ran", func() bool { return s.ran.count() == 3 })
	if n, err := dead.Drop(t.Context(), seqs[2], seqs[0]); n != 1 || !errors.Is(err, consumer.ErrNoDeadLetter) {
		t.Errorf("dropped %d: %v", n, err)
	}
	if _, left := list(t, dead, consumer.Filter{}); left != "" {
		t.Errorf("left are %q", left)
	}
}

// Whoever replays may die between storing the replay and removing the dead letter:
// here it may not remove. Whoever comes next does, and the message runs once, with an
// inbox that knows nothing.
func TestReplayCutInTheMiddleRunsOnce(t *testing.T) {
	srv := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "x"},
			{Username: "dies", Password: "x", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: []string{"$JS.API.STREAM.MSG.DELETE.>"}}}},
		}
	})
	w := worldOn(t, srv, nats.UserInfo("all", "x"))
	s := w.sick(func(c *consumer.Config) { c.Inbox = blankInbox{} })
	w.publish("a", "1")
	dead := s.dies(w, 1)
	s.well.Store(true)
	js, err := jetstream.New(srv.Connect(t, nats.UserInfo("dies", "x"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})))
	if err != nil {
		t.Fatal(err)
	}
	cut, err := consumer.OpenDeadLetters(t.Context(), js, "OUTBOX")
	if err != nil {
		t.Fatal(err)
	}
	seqs, _ := list(t, dead, consumer.Filter{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // the broker does not answer a request that it refuses
	defer cancel()
	if n, err := cut.Replay(ctx, seqs[0]); n != 0 || err == nil || !strings.Contains(err.Error(), "stored as a replay") {
		t.Fatalf("replayed %d: %v", n, err)
	}
	eventually(t, "it ran", func() bool { return s.ran.count() == 1 })
	w.noReplays(dead, "c")
	if n, err := dead.Replay(t.Context(), seqs[0]); n != 1 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	w.publish("a", "2")
	eventually(t, "what comes next is handled", func() bool { return s.ran.count() == 2 })
	w.noReplays(dead, "c")
	if s.ran.count() != 2 {
		t.Fatalf("it ran again: %s", &s.ran)
	}
}

// blankInbox remembers nothing.
type blankInbox struct{}

func (blankInbox) Claim(context.Context, string, string) (inbox.Claim, error) {
	return blankInbox{}, nil
}
func (blankInbox) Done(context.Context) error    { return nil }
func (blankInbox) Release(context.Context) error { return nil }

// Two operators at once.
func TestReplayTwiceAtOnceRunsOnce(t *testing.T) {
	w := newWorld(t)
	s := w.sick(func(c *consumer.Config) { c.Inbox = blankInbox{} })
	for i := range 30 {
		w.publish("a", fmt.Sprint(i))
	}
	dead := s.dies(w, 30)
	s.well.Store(true)
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			_, _, err := dead.ReplayAll(context.Background(), consumer.Filter{}, consumer.ReplayOptions{})
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "all ran", func() bool { return s.ran.count() >= 30 })
	w.noReplays(dead, "c")
	if s.ran.count() != 30 {
		t.Fatalf("%d runs", s.ran.count())
	}
	if _, left := list(t, dead, consumer.Filter{}); left != "" {
		t.Fatalf("left are %q", left)
	}
}

// A consumer that was not running handles the replay when it runs.
func TestReplayWaitsForItsConsumer(t *testing.T) {
	w := newWorld(t)
	s := w.sick()
	w.publish("a", "1")
	dead := s.dies(w, 1)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := dead.ReplayAll(t.Context(), consumer.Filter{}, consumer.ReplayOptions{}); n != 1 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	eventually(t, "it waits", func() bool {
		n, err := dead.Waiting(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	next := w.sick()
	next.well.Store(true)
	eventually(t, "it ran", func() bool { return next.Stats().Handled == 1 || next.Stats().DeadLettered == 1 })
}

func TestReplayRefusesWhatNoConsumerCanHandle(t *testing.T) {
	w := newWorld(t)
	s := w.sick()
	w.publish("a", "1")
	dead := s.dies(w, 1)
	put := func(subject string, header ...string) uint64 {
		t.Helper()
		m := nats.NewMsg(subject)
		for i := 0; i < len(header); i += 2 {
			m.Header.Set(header[i], header[i+1])
		}
		ack, err := w.js.PublishMsg(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return ack.Sequence
	}
	row := put("dlq.OUTBOX.shop._invalid", binjet.HeaderDeadReason, "too large", binjet.HeaderID, "r") // as a relay's quarantine does
	gone := put("dlq.OUTBOX.gone.a", binjet.HeaderOriginSequence, "7", binjet.HeaderOriginSubject, "outbox.a")
	if _, err := dead.Replay(t.Context(), row); !errors.Is(err, consumer.ErrQuarantined) {
		t.Errorf("a relay's row: %v", err)
	}
	if _, err := dead.Replay(t.Context(), gone); !errors.Is(err, consumer.ErrNoConsumer) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a consumer that never ran: %v", err)
	}
	if _, err := dead.Replay(t.Context(), 99); !errors.Is(err, consumer.ErrNoDeadLetter) {
		t.Errorf("one that is not there: %v", err)
	}
	s.well.Store(true)
	n, refused, err := dead.ReplayAll(t.Context(), consumer.Filter{}, consumer.ReplayOptions{})
	if n != 1 || refused != 1 || !errors.Is(err, consumer.ErrNoConsumer) {
		t.Errorf("all: %d replayed, %d refused, %v", n, refused, err)
	}
	l, err := dead.Get(t.Context(), row)
	if err != nil || !l.Quarantined || l.By != "shop" || l.Reason != "too large" {
		t.Errorf("the row is %+v: %v", l, err)
	}
	if _, err := consumer.OpenDeadLetters(t.Context(), w.js, "NONE"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a stream without dead letters: %v", err)
	}
}

// Replays of an ordered consumer run beside its lanes.
func TestReplayOfAnOrderedConsumer(t *testing.T) {
	w := newWorld(t)
	s := w.sick(func(c *consumer.Config) { c.Ordered = consumer.ByKey })
	w.publish("a", "1", binjet.HeaderKey, "k")
	w.publish("a", "2", binjet.HeaderKey, "k")
	dead := s.dies(w, 2)
	s.well.Store(true)
	seqs, _ := list(t, dead, consumer.Filter{})
	if n, err := dead.Replay(t.Context(), seqs...); n != 2 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	eventually(t, "both ran", func() bool { return s.ran.count() == 2 })
	if got := s.ran.String(); got != "1 on outbox.a 1 attempt 1 replayed 1 2 on outbox.a 2 attempt 1 replayed 1" {
		t.Fatalf("they ran as: %s", got)
	}
	w.noReplays(dead, "c")
}

// TestReplaysDoNotHideTheList: a replay that waits is a message of its own, and not
// one under the number of the dead letter that it was.
func TestReplaysDoNotHideTheList(t *testing.T) {
	w := newWorld(t)
	s := w.sick()
	w.publish("a", "1")
	w.publish("b", "2")
	dead := s.dies(w, 2)
	if err := s.stop(); err != nil { // so that replays wait
		t.Fatal(err)
	}
	seqs, _ := list(t, dead, consumer.Filter{})
	if n, err := dead.Replay(t.Context(), seqs[0]); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if left, ids := list(t, dead, consumer.Filter{}); len(left) != 1 || left[0] != seqs[1] {
		t.Errorf("left: %v %s", left, ids)
	}
	if n, err := dead.Replay(t.Context(), seqs[1]); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if left, ids := list(t, dead, consumer.Filter{}); len(left) != 0 {
		t.Errorf("left: %v %s", left, ids)
	}
}
