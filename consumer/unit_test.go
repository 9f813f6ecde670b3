package consumer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer/inbox"
)

func TestDecide(t *testing.T) {
	boom := errors.New("boom")
	p := policy{maxDeliver: 3, backoff: Backoff{Min: time.Second, Max: 4 * time.Second}}
	forever := policy{maxDeliver: NoLimit, backoff: p.backoff}
	for _, tc := range []struct {
		name     string
		policy   policy
		err      error
		attempt  int
		stopping bool
		want     Kind
		min, max time.Duration
	}{
		{"success", p, nil, 3, false, Handled, 0, 0},
		{"success while stopping", p, nil, 1, true, Handled, 0, 0},
		{"first failure", p, boom, 1, false, Retried, time.Second / 2, time.Second},
		{"second failure", p, boom, 2, false, Retried, time.Second, 2 * time.Second},
		{"last failure", p, boom, 3, false, DeadLettered, 0, 0},
		{"beyond the last", p, boom, 4, false, DeadLettered, 0, 0},
		{"no limit", forever, boom, 1 << 40, false, Retried, 2 * time.Second, 4 * time.Second},
		{"discard", p, fmt.Errorf("wrapped: %w", Discard(boom)), 1, false, DeadLettered, 0, 0},
		{"discard without a reason", p, Discard(nil), 1, false, DeadLettered, 0, 0},
		{"discard while stopping", p, Discard(boom), 1, true, DeadLettered, 0, 0},
		{"retry after", p, RetryAfter(time.Hour, boom), 1, false, Retried, time.Hour, time.Hour},
		{"retry after zero", p, RetryAfter(0, nil), 1, false, Retried, handBackDelay, handBackDelay},
		{"retry after on the last attempt", p, RetryAfter(time.Hour, boom), 3, false, DeadLettered, 0, 0},
		{"another copy runs", p, inbox.ErrBusy, 3, false, Deferred, time.Second / 2, time.Second},
		{"the inbox was not to be asked", p, fmt.Errorf("%w: down", errNotRun), 3, false, Deferred, handBackDelay, handBackDelay},
		{"cut short by the end of Run", p, boom, 3, true, Deferred, handBackDelay, handBackDelay},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.policy.decide(tc.err, tc.attempt, tc.stopping)
			if got.Kind != tc.want || got.Delay < tc.min || got.Delay > tc.max {
				t.Fatalf("got %s after %s, want %s after %s to %s", got.Kind, got.Delay, tc.want, tc.min, tc.max)
			}
			if tc.err != nil && !errors.Is(got.Err, tc.err) {
				t.Fatalf("the outcome's error is %v, want %v", got.Err, tc.err)
			}
		})
	}
}

func TestHopeless(t *testing.T) {
	p := policy{maxDeliver: 1}
	if p.hopeless(1+spareDeliveries) || !p.hopeless(2+spareDeliveries) {
		t.Fatal("the limit is not where it should be")
	}
	if (policy{maxDeliver: NoLimit}).hopeless(1 << 40) {
		t.Fatal("without a limit nothing is hopeless")
	}
}

func TestVerdictIsNeverABareNak(t *testing.T) {
	for kind := Handled; kind <= Ignored; kind++ {
		if v := string(verdict(Outcome{Kind: kind})); v == "-NAK" || v == "" {
			t.Errorf("%s is told as %q", kind, v)
		}
	}
	if got, want := string(verdict(Outcome{Kind: Retried, Delay: time.Second})), `-NAK {"delay": 1000000000}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPatterns(t *testing.T) {
	for _, s := range []string{"a", "a.b", "*", ">", "a.*.c", "a.>", "*.b.>"} {
		if err := checkPattern(s); err != nil {
			t.Errorf("%q is refused: %v", s, err)
		}
	}
	for _, s := range []string{"", ".", "a.", "a..b", "a.>.b", "a*", "a.b>", "a b", strings.Repeat("x", 256)} {
		if checkPattern(s) == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestMatchAndOverlap(t *testing.T) {
	split := func(s string) []string { return strings.Split(s, ".") }
	for _, tc := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a", false}, {"a", "a.b", false}, {"a.*", "a.b", true},
		{"a.*", "a.b.c", false}, {"a.>", "a", false}, {"a.>", "a.b.c", true}, {">", "a", true}, {"*.b", "a.b", true}, {"*.b", "a.c", false},
	} {
		if got := matches(split(tc.pattern), split(tc.topic)); got != tc.want {
			t.Errorf("matches(%s, %s) = %t", tc.pattern, tc.topic, got)
		}
	}
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.*", "a.b", true}, {"a.*", "*.b", true}, {"a.>", "a", false},
		{"a.>", "a.b.c", true}, {">", "x", true}, {"a.*.c", "a.b", false}, {"a.>", "b.>", false}, {"*.x", "a.>", true},
	} {
		if overlap(split(tc.a), split(tc.b)) != tc.want || overlap(split(tc.b), split(tc.a)) != tc.want {
			t.Errorf("overlap(%s, %s) is not %t both ways", tc.a, tc.b, tc.want)
		}
	}
}

func TestDecode(t *testing.T) {
	m := nats.NewMsg("outbox.5.orders.created")
	m.Header = nats.Header{
		binjet.HeaderID: {"id-1"}, binjet.HeaderTopic: {"orders.created"}, binjet.HeaderKey: {"k"},
		binjet.HeaderSource: {"shop"}, binjet.HeaderTx: {"u:1"}, binjet.HeaderTxIndex: {"2/3"},
		binjet.HeaderCreatedAt: {"2026-01-02T03:04:05.000006Z"}, binjet.HeaderContentType: {"application/json"},
		binjet.HeaderDeliverAt: {"2026-01-03T00:00:00Z"}, binjet.HeaderTTL: {"60"},
		"Nats-Batch-Id": {"b"}, "traceparent": {"00-1"}, "X": {"1", "2"},
	}
	m.Data = []byte("{}")
	msg, err := decode(m, "outbox", true)
	if err != nil {
		t.Fatal(err)
	}
	if msg.ID != "id-1" || msg.Topic != "orders.created" || msg.Key != "k" || msg.Source != "shop" || msg.Tx != "u:1" ||
		msg.TxIndex != 2 || msg.TxSize != 3 || msg.ContentType != "application/json" || msg.ExpireAfter != time.Minute ||
		msg.DeliverAt.Day() != 3 || msg.CreatedAt.Nanosecond() != 6000 || string(msg.Payload) != "{}" {
		t.Fatalf("got %+v", msg)
	}
	if len(msg.Headers) != 2 || msg.Headers.Get("traceparent") != "00-1" || len(msg.Headers["X"]) != 2 {
		t.Fatalf("own headers are %v", msg.Headers)
	}
	m.Header.Del(binjet.HeaderTopic)
	if msg, err = decode(m, "outbox", true); err != nil || msg.Topic != "orders.created" {
		t.Fatalf("the topic of the subject is %q (%v)", msg.Topic, err)
	}
	for _, spoil := range []func(nats.Header){
		func(h nats.Header) { h.Del(binjet.HeaderID) },
		func(h nats.Header) { h.Set(binjet.HeaderID, strings.Repeat("x", 65)) },
		func(h nats.Header) { h.Set(binjet.HeaderDeliverAt, "tomorrow") },
		func(h nats.Header) { h.Set(binjet.HeaderTopic, "a..b") },
	} {
		bad := nats.Header{}
		for k, v := range m.Header {
			bad[k] = v
		}
		spoil(bad)
		if _, err := decode(&nats.Msg{Subject: m.Subject, Header: bad}, "outbox", true); !errors.Is(err, ErrUndecodable) {
			t.Errorf("headers %v: got %v", bad, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("outbox.a", "id", "a", "1/2", "60", "2026-01-03T00:00:00Z")
	f.Add("outbox", "", ".", "/", "never", "x")
	f.Fuzz(func(t *testing.T, subject, id, topic, index, ttl, at string) {
		m := nats.NewMsg(subject)
		m.Header = nats.Header{binjet.HeaderID: {id}, binjet.HeaderTopic: {topic}, binjet.HeaderTxIndex: {index},
			binjet.HeaderTTL: {ttl}, binjet.HeaderDeliverAt: {at}}
		msg, err := decode(m, "outbox", true)
		if msg == nil || err != nil && !errors.Is(err, ErrUndecodable) {
			t.Fatalf("got %v, %v", msg, err)
		}
	})
}

func TestConfigReportsAllFaults(t *testing.T) {
	err := Config{
		Name: "a b", Stream: "x.y", SubjectPrefix: "$JS", Concurrency: -1, AckWait: time.Millisecond, MaxDeliver: -2,
		Backoff: Backoff{Min: -1}, Breaker: BreakerConfig{Failures: -1, Probe: Backoff{Min: -1}}, StartSequence: 3, DrainTimeout: -1, DeliverPolicy: jetstream.DeliverByStartTimePolicy,
	}.WithDefaults().validate()
	for _, want := range []string{"Name", "Stream", "SubjectPrefix", "Concurrency", "AckWait", "MaxDeliver", "Backoff", "Breaker.Failures", "Breaker.Probe", "StartSequence", "StartTime", "DrainTimeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault of %s in: %v", want, err)
		}
	}
	if err := (Config{Name: "ok"}).WithDefaults().validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}
