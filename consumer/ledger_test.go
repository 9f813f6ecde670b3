package consumer

import (
	"testing"
	"time"
)

// ledgerWorld is a ledger that is asked about the deliveries of messages.
type ledgerWorld struct {
	*testing.T
	*ledger
}

func delivered(sequence, n uint64, delayed bool) *delivery {
	d := &delivery{msg: &Message{Published: time.Unix(1, 0)}, at: place{"S", sequence}, delivered: n}
	if delayed {
		d.msg.DeliverAt = time.Unix(2, 0)
	}
	return d
}

// want checks which attempt a delivery is, and returns the delivery.
func (w ledgerWorld) want(d *delivery, attempt int) *delivery {
	w.Helper()
	if got := w.attempt(d); got != attempt {
		w.Fatalf("delivery %d of %v is attempt %d, want %d", d.delivered, d.at, got, attempt)
	}
	return d
}

func TestLedgerTellsAttemptsFromDeliveries(t *testing.T) {
	w := ledgerWorld{t, newLedger(2)}
	w.deferred(w.want(delivered(7, 1, false), 1))
	w.deferred(w.want(delivered(7, 2, false), 1))
	w.failed(w.want(delivered(7, 3, false), 1))
	w.want(delivered(7, 4, false), 2)
	w.want(delivered(7, 5, false), 3) // the fourth went to another process
	w.forget(delivered(7, 5, false))
	w.want(delivered(7, 4, false), 4) // what was forgotten counts
}

func TestLedgerKnowsWhatDeliverAtCost(t *testing.T) {
	w := ledgerWorld{t, newLedger(2)}
	w.failed(w.want(delivered(7, 2, true), 1)) // another process held it back
	w.want(delivered(7, 3, true), 2)
	w.deferred(w.want(delivered(8, 1, true), 1))
	w.want(delivered(8, 2, true), 1)
}

func TestLedgerIsBounded(t *testing.T) {
	w := ledgerWorld{t, newLedger(2)}
	for sequence := range uint64(3) {
		w.deferred(delivered(sequence, 1, false))
	}
	w.want(delivered(0, 2, false), 2) // pushed out
	w.want(delivered(1, 2, false), 1)
	if n := len(w.unattempted(10)); n != 2 {
		t.Fatalf("it holds %d", n)
	}
	if got := w.unattempted(1); len(got) != 1 || got[0].sequence != 2 {
		t.Fatalf("the most recent is %v", got)
	}
}

func TestLedgerLearnsWhatIsNewer(t *testing.T) {
	w := ledgerWorld{t, newLedger(9)}
	at := place{"S", 7}
	w.learn(entry{place: at, delivered: 3, attempts: 1})
	w.learn(entry{place: at, delivered: 2})
	w.want(delivered(7, 4, false), 2)
	if w.knows(delivered(7, 5, false)) || !w.knows(delivered(7, 4, false)) || !w.knows(delivered(8, 1, false)) {
		t.Fatal("what it knows is wrong")
	}
	if n := len(w.unattempted(10)); n != 1 {
		t.Fatalf("%d messages with deliveries that were no attempts", n)
	}
	w.failed(w.want(delivered(7, 1, false), 1)) // an older copy, or a new durable consumer
	w.want(delivered(7, 2, false), 1)
	w.want(delivered(7, 4, false), 2)
}

func TestLedgerTellsStreamsApart(t *testing.T) {
	w := ledgerWorld{t, newLedger(9)}
	w.deferred(delivered(7, 1, false))
	other := delivered(7, 2, false)
	other.at.stream = "S_DLQ"
	w.want(other, 2)
}
