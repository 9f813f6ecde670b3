package relay

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

func message(id string, payload int) binjet.Message {
	return binjet.Message{ID: id, Topic: "t", Payload: make([]byte, payload)}
}

// drain feeds tx and returns the parts that come out of the queue.
func drain(t *testing.T, tx *checkpoint.Transaction, maxMessages, maxBytes int) (parts []item) {
	t.Helper()
	f := &feeder{encoder: encoder{source: "s", prefix: "outbox", maxPayload: func() int64 { return 1 << 20 }},
		queue: newQueue(1 << 30), backlog: new(backlog), maxMessages: maxMessages, maxBytes: maxBytes}
	if err := f.feed(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	for {
		it, ok, _, _ := f.queue.take(func(*item) bool { return true })
		if !ok {
			return parts
		}
		parts = append(parts, it)
	}
}

func TestFeedSplitsWhatDoesNotFit(t *testing.T) {
	gtid := checkpoint.GTID{Flavor: checkpoint.MySQL, N: 7}
	tx := &checkpoint.Transaction{GTID: gtid, Messages: []binjet.Message{message("a", 1), message("b", 1), message("c", 1), message("d", 1), message("e", 1)}}
	parts := drain(t, tx, 2, 1<<20)
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	pos := checkpoint.Position{}
	for i, rows := range []int{2, 4} {
		parts[i].apply(&pos)
		if pos.Partial == nil || *pos.Partial != (checkpoint.Partial{GTID: gtid, Rows: rows}) || !pos.Resume.IsEmpty() {
			t.Fatalf("after part %d the position is %+v", i, pos)
		}
		if got := parts[i].msgs[0].Header.Get(binjet.HeaderTxIndex); got != []string{"1/", "3/"}[i] {
			t.Errorf("part %d begins with index %q", i, got)
		}
	}
	parts[2].apply(&pos)
	if pos.Partial != nil || !pos.Resume.Contains(gtid) || pos.Last.Rows != 5 {
		t.Fatalf("after the last part the position is %+v", pos)
	}
}

func TestFeedSplitsByBytes(t *testing.T) {
	tx := &checkpoint.Transaction{GTID: checkpoint.GTID{Flavor: checkpoint.MySQL, N: 7},
		Messages: []binjet.Message{message("a", 3000), message("b", 3000), message("large", 20_000), message("d", 1)}}
	var got []int
	for _, part := range drain(t, tx, 100, 8000) {
		got = append(got, len(part.msgs))
	}
	if len(got) != 3 || got[0] != 2 || got[1] != 1 || got[2] != 1 {
		t.Fatalf("parts of %v messages, want 2, 1, 1", got)
	}
}

// TestFeedSplitsSnapshots: a part of a page moves the progress to its own last row.
func TestFeedSplitsSnapshots(t *testing.T) {
	at, _ := checkpoint.ParseGTIDSet("0-1-9")
	tx := &checkpoint.Transaction{Messages: []binjet.Message{message("a", 1), message("b", 1), message("c", 1)}, At: at, End: true,
		Snapshot: &checkpoint.Snapshot{Begun: true, Table: "shop.outbox", After: "c"}}
	parts := drain(t, tx, 2, 1<<20)
	pos := checkpoint.Position{}
	parts[0].apply(&pos)
	if pos.Snapshot == nil || pos.Snapshot.After != "b" || pos.Resume.String() != "0-1-9" {
		t.Fatalf("after the first part: %+v", pos)
	}
	parts[1].apply(&pos)
	if pos.Snapshot != nil || len(parts) != 2 {
		t.Fatalf("after %d parts: %+v", len(parts), pos)
	}
}

func TestQueueJoinsTransactionsWithoutEvents(t *testing.T) {
	q := newQueue(100)
	for n := uint64(1); n <= 1000; n++ {
		q.skip(&checkpoint.Transaction{GTID: checkpoint.GTID{Flavor: checkpoint.MySQL, N: n}})
	}
	it, ok, _, _ := q.take(func(*item) bool { return true })
	_, more, _, _ := q.take(func(*item) bool { return true })
	pos := checkpoint.Position{}
	it.apply(&pos)
	if !ok || more || pos.Resume.String() != "00000000-0000-0000-0000-000000000000:1-1000" {
		t.Fatalf("ok %v, more %v, position %s", ok, more, pos.Resume)
	}
}

func TestQueueWaitsForRoom(t *testing.T) {
	q := newQueue(100)
	if !q.tryPut(item{bytes: 500}) {
		t.Fatal("an item larger than the limit must enter an empty queue")
	}
	if q.tryPut(item{bytes: 1}) {
		t.Fatal("a full queue took more")
	}
	done := make(chan error, 1)
	go func() { done <- q.put(t.Context(), item{bytes: 1}) }()
	q.take(func(*item) bool { return true })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestQueueIsBoundedByEvents: many small ones take more memory than they have bytes.
func TestQueueIsBoundedByEvents(t *testing.T) {
	q := newQueue(1 << 30)
	for n := range queueEvents {
		if !q.tryPut(item{msgs: make([]*nats.Msg, 1), bytes: 1}) {
			t.Fatalf("full after %d events", n)
		}
	}
	if q.tryPut(item{msgs: make([]*nats.Msg, 1), bytes: 1}) {
		t.Fatal("a full queue took more")
	}
	q.take(func(*item) bool { return true })
	if !q.tryPut(item{msgs: make([]*nats.Msg, 1), bytes: 1}) {
		t.Fatal("a queue with room took nothing")
	}
}

// TestFeedSplitsRowsOfOneID: where an ID is unique only together with created_at,
// a part may end between rows of one ID, and none may be left out or come again.
func TestFeedSplitsRowsOfOneID(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	row := func(id string, micros int) binjet.Message {
		m := message(id, 1)
		m.CreatedAt = noon.Add(time.Duration(micros) * time.Microsecond)
		return m
	}
	undated := row("b", 1_000_000) // one without a time of its own has that of its reading
	rows := []binjet.Message{row("a", 5), row("a", 7), row("a", 9), undated, row("b", 4), row("c", 1)}
	tx := &checkpoint.Transaction{Messages: rows, End: true,
		Snapshot: &checkpoint.Snapshot{Begun: true, Table: "shop.outbox", After: "c", AfterAt: noon.Add(time.Microsecond)}}
	for to, want := range map[int]time.Time{2: noon.Add(8 * time.Microsecond), 3: noon.Add(9 * time.Microsecond), 4: noon.Add(3 * time.Microsecond), 5: noon.Add(4 * time.Microsecond)} {
		got := partOf(tx, 0, to).Snapshot
		if got.After != rows[to-1].ID || !got.AfterAt.Equal(want) {
			t.Errorf("cut at %d: after %s at %s, want %s", to, got.After, got.AfterAt, want)
		}
	}
	if whole := partOf(tx, 2, len(rows)).Snapshot; whole != tx.Snapshot {
		t.Errorf("the last part is at %+v", whole)
	}
	tx.Snapshot.AfterAt = time.Time{} // the ID is unique
	if got := partOf(tx, 0, 2).Snapshot; !got.AfterAt.IsZero() {
		t.Errorf("at %s, which tells nothing there", got.AfterAt)
	}
}
