package relay

import (
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

// ownPath is what a transaction of so many events goes through on our own path, from
// where it was read to the messages that are staged.
func ownPath(tb testing.TB, rows int) (run func()) {
	tx := &checkpoint.Transaction{GTID: checkpoint.GTID{Flavor: checkpoint.MySQL, UUID: fakeUUID}, Committed: time.Now()}
	for range rows {
		tx.Messages = append(tx.Messages, binjet.Message{ID: "0199-7000", Topic: "orders.created", Key: "k", Payload: make([]byte, 256),
			ContentType: "application/json", CreatedAt: time.Now(), Headers: binjet.Headers{"traceparent": {"00-x"}}})
	}
	spares := newSpares()
	f := &feeder{encoder: encoder{spares: spares, source: "shop", prefix: "outbox", maxPayload: func() int64 { return 1 << 20 }},
		queue: newQueue(8 << 20), backlog: new(backlog), maxMessages: MaxBatchMessages, maxBytes: DefaultBatchBytes}
	p, b := &publisher{}, &batch{id: "batch"}
	return func() {
		tx.GTID.N++
		if err := f.feed(tb.Context(), tx); err != nil {
			tb.Fatal(err)
		}
		it, _, _, _ := f.queue.take(func(*item) bool { return true })
		b.add(&it)
		for ; b.staged < len(b.msgs); b.staged++ {
			p.label(b.msgs[b.staged], b)
		}
		if len(b.msgs)+rows > MaxBatchMessages {
			b.recycle(spares)
			b.staged = 0
		}
	}
}

// TestAllocations: what an event costs on our own path.
func TestAllocations(t *testing.T) {
	for name, test := range map[string]struct {
		rows int
		most float64 // for each event
	}{"one row": {1, 1.1}, "a hundred rows": {100, 1.1}} {
		t.Run(name, func(t *testing.T) {
			run := ownPath(t, test.rows)
			batches := func() {
				for range 3 * MaxBatchMessages / test.rows {
					run()
				}
			}
			batches() // what is used again has to be there first
			allocs := testing.AllocsPerRun(3, batches)
			if per := allocs / (3 * MaxBatchMessages); per > test.most {
				t.Errorf("%.2f allocations per event, want %.1f at most", per, test.most)
			} else {
				t.Logf("%.2f allocations per event", per)
			}
		})
	}
}

func BenchmarkOwnPath(b *testing.B) {
	run := ownPath(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

// TestAloneIsOfNoBatch: an event by itself says nothing of the batch that its message was in.
func TestAloneIsOfNoBatch(t *testing.T) {
	nc := natstest.Start(t).Connect(t)
	sub, err := nc.SubscribeSync("outbox.>")
	must(t, err)
	p := &publisher{nc: nc, subject: "binjet.checkpoint.shop", inbox: nc.NewInbox()}
	msg := newSpares().take()
	msg.Subject = "outbox.a"
	b := &batch{id: "batch", msgs: []*nats.Msg{msg}}
	ownOf(msg).set(slotSource, "shop")
	p.label(msg, b)
	must(t, p.publishAlone(&write{batch: b, alone: true, expectLast: 7}))
	got, err := sub.NextMsg(10 * time.Second)
	must(t, err)
	want := nats.Header{binjet.HeaderSource: {"shop"}, headerExpectedSeq: {"0"}, headerExpectedSubject: {p.subject}, headerExpectedLast: {"7"}}
	if !reflect.DeepEqual(got.Header, want) {
		t.Errorf("%v, want %v", got.Header, want)
	}
	if p.label(msg, b); len(msg.Header) != 3 || msg.Header.Get(headerBatchID) != "batch" {
		t.Errorf("in a batch after all: %v", msg.Header)
	}
}

// TestOwnHeadersAreRefused: a row that brings one of them may not damage the events behind it.
func TestOwnHeadersAreRefused(t *testing.T) {
	e := encoder{spares: newSpares(), source: "shop", prefix: "outbox", maxPayload: func() int64 { return 1 << 20 }}
	for _, name := range slotNames {
		tx := &checkpoint.Transaction{Messages: []binjet.Message{{ID: "1", Topic: "a", ContentType: "text/plain", Payload: []byte("p"), Headers: binjet.Headers{name: {"evil"}}}}}
		msg, _, err := e.encode(tx, 0, 1)
		if name == binjet.HeaderContentType {
			if err != nil || msg.Header.Get(name) != "text/plain" {
				t.Errorf("%v, %v", msg, err)
			}
		} else if err == nil {
			t.Errorf("%s is taken from a row", name)
		}
	}
}

// TestReusedMessages: nothing of one event is left in the next.
func TestReusedMessages(t *testing.T) {
	spares := newSpares()
	e := encoder{spares: spares, source: "shop", prefix: "outbox", maxPayload: func() int64 { return 1 << 20 }}
	gtid := checkpoint.GTID{Flavor: checkpoint.MySQL, UUID: fakeUUID, N: 7}
	full := &checkpoint.Transaction{GTID: gtid, Messages: []binjet.Message{{ID: "1", Topic: "a.b", Key: "k", ContentType: "text/plain", Payload: []byte("p"),
		CreatedAt: time.Unix(0, 0), Headers: binjet.Headers{"x": {"1", "2"}, "Content-Type": {"of the row"}, binjet.HeaderTTL: {"60"}}}}}
	bare := &checkpoint.Transaction{Messages: []binjet.Message{{ID: "2", Topic: "a.c"}}}
	p, row := &publisher{}, full.Messages[0].Headers
	for range 3 {
		msg, _, err := e.encode(full, 0, 1)
		must(t, err)
		p.label(msg, &batch{id: "batch"})
		if got := len(msg.Header); got != 12 || msg.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%d headers: %v", got, msg.Header)
		}
		spares.give(msg)
		msg, size, err := e.encode(bare, 0, 1)
		must(t, err)
		unlabel(msg) // which an event by itself is, and that in a batch gets others
		want := nats.Header{binjet.HeaderID: {"2"}, binjet.HeaderTopic: {"a.c"}, binjet.HeaderSource: {"shop"}}
		for name, values := range msg.Header {
			if len(want[name]) != 1 || want[name][0] != values[0] {
				t.Errorf("%s: %q", name, values)
			}
		}
		if fresh := (&nats.Msg{Subject: "outbox.a.c", Header: want}); len(msg.Header) != len(want) || size != fresh.Size()+overhead || msg.Subject != fresh.Subject || len(msg.Data) > 0 {
			t.Errorf("%d bytes on %s: %v", size, msg.Subject, msg.Header)
		}
		p.label(msg, &batch{id: "next", staged: 2})
		if got := msg.Header[headerBatchID][0] + msg.Header[headerBatchSequence][0]; got != "next3" {
			t.Errorf("in batch %s", got)
		}
		spares.give(msg)
	}
	if row["Content-Type"][0] != "of the row" || len(row["x"]) != 2 {
		t.Errorf("the row's headers became %v", row)
	}
}
