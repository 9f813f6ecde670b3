package torture

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// event is one of the stream.
type event struct {
	seq                  uint64
	id, key, tx, txIndex string
	content              content
}

func (e event) String() string {
	return fmt.Sprintf("%s at %d (%s of %s)", e.id, e.seq, e.txIndex, e.tx)
}

// published reads the stream from one end to the other.
func (w *world) published() (list []event, err error) {
	err = w.read("OUTBOX", "outbox.>", func(m jetstream.Msg, meta *jetstream.MsgMetadata) {
		h := m.Headers()
		list = append(list, event{seq: meta.Sequence.Stream, id: h.Get("Outbox-Id"), key: h.Get("Outbox-Key"), tx: h.Get("Outbox-Tx"), txIndex: h.Get("Outbox-Tx-Index"),
			content: contentIn(m.Subject(), h, m.Data())})
	})
	return list, err
}

// read hands out the messages of a stream that are there now.
func (w *world) read(stream, subject string, each func(jetstream.Msg, *jetstream.MsgMetadata)) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	js, err := jetstream.New(w.nc)
	if err != nil {
		return err
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	last, err := s.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return err
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		return err
	}
	for seq := uint64(0); seq < last.Sequence; {
		batch, err := c.Fetch(500, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			seq = meta.Sequence.Stream
			each(m, meta)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("read stream %s: %w at %d", stream, ctx.Err(), seq)
		}
	}
	return nil
}

// same is I1: the stream is the committed events, each once, in binlog order.
func same(events []event, truth []string) error {
	if err := prefix(events, truth); err != nil {
		return err
	}
	if len(events) < len(truth) {
		return fmt.Errorf("I1: %d events are missing, the first is %s%s", len(truth)-len(events), truth[len(events)], window(events, len(events), truth, len(events)))
	}
	return nil
}

// prefix is I1 while some may not have arrived.
func prefix(events []event, truth []string) error {
	where := map[string]int{}
	for i, id := range truth {
		where[id] = i
	}
	seen := map[string]bool{}
	for i, e := range events {
		at, committed := where[e.id]
		switch {
		case !committed:
			return fmt.Errorf("I5: %s was never committed%s", e, window(events, i, truth, i))
		case seen[e.id]:
			return fmt.Errorf("I1: %s is there a second time%s", e, window(events, i, truth, at))
		case at != i:
			return fmt.Errorf("I1: %s is event %d of the stream and %d of the binlog%s", e, i+1, at+1, window(events, i, truth, at))
		}
		seen[e.id] = true
	}
	return nil
}

// window shows what is around a violation, on both sides.
func window(events []event, i int, truth []string, at int) string {
	var b strings.Builder
	b.WriteString("\n  stream:")
	for k := max(0, i-5); k < min(len(events), i+6); k++ {
		fmt.Fprintf(&b, "\n    %6d %s", k+1, events[k])
	}
	b.WriteString("\n  binlog:")
	for k := max(0, at-5); k < min(len(truth), at+6); k++ {
		fmt.Fprintf(&b, "\n    %6d %s", k+1, truth[k])
	}
	return b.String()
}

// wholeTransactions: a transaction's events stand together and are numbered through;
// "n/" without a total is one of a transaction larger than a batch.
func wholeTransactions(events []event) error {
	done := map[string]bool{}
	for i := 0; i < len(events); {
		tx, n := events[i].tx, 1
		if done[tx] {
			return fmt.Errorf("I2: transaction %s goes on at %s, after others%s", tx, events[i], window(events, i, nil, 0))
		}
		done[tx] = true
		for i+n < len(events) && events[i+n].tx == tx {
			n++
		}
		for k, e := range events[i : i+n] {
			number, total, ok := strings.Cut(e.txIndex, "/")
			if !ok || number != strconv.Itoa(k+1) || total != "" && total != strconv.Itoa(n) {
				return fmt.Errorf("I2: %s should be %d of %d%s", e, k+1, n, window(events, i+k, nil, 0))
			}
		}
		i += n
	}
	return nil
}

// before is how many events are not behind a sequence.
func before(events []event, seq uint64) int {
	return sort.Search(len(events), func(k int) bool { return events[k].seq > seq })
}

// checkpointsHold is I2 and I3: each counts the events before it, and epochs never go
// back.
func checkpointsHold(list []checkpoint, events []event) error {
	for i, c := range list {
		n := before(events, c.at())
		switch {
		case i > 0 && c.seq > list[i-1].seq && c.Epoch < list[i-1].Epoch:
			return fmt.Errorf("I3: epoch %d at sequence %d is followed by epoch %d at %d", list[i-1].Epoch, list[i-1].seq, c.Epoch, c.seq)
		case c.Count != uint64(n):
			return fmt.Errorf("I2: the checkpoint at %d counts %d events, %d are before it%s", c.seq, c.Count, n, window(events, n, nil, 0))
		}
	}
	return nil
}

// outcomesHold: what a writer was told is true.
func outcomesHold(history []record, truth []string) error {
	in := map[string]bool{}
	for _, id := range truth {
		in[id] = true
	}
	for _, r := range history {
		for _, id := range r.Dropped {
			if in[id] {
				return fmt.Errorf("I5: %s of a %q transaction was rolled back and is in the binlog as committed", id, r.Shape)
			}
		}
		n := 0
		for _, id := range r.Kept {
			if in[id] {
				n++
			}
		}
		switch {
		case n != 0 && n != len(r.Kept):
			return fmt.Errorf("%d of %d events of transaction %d.%d (%s) are committed", n, len(r.Kept), r.Writer, r.Tx, r.Shape)
		case r.Outcome == committed && n == 0 && len(r.Kept) > 0, r.Outcome == failed && n > 0:
			return fmt.Errorf("transaction %d.%d (%s) is %s for its writer, the binlog has %d of its events: %s", r.Writer, r.Tx, r.Shape, r.Outcome, n, r.Error)
		}
	}
	return nil
}

// effect is a row that a handler left.
type effect struct {
	id, key string
	seq     uint64
}

// effects are in the order in which they were made.
func (w *world) effects() (list []effect, err error) {
	rows, err := w.db.QueryContext(w.t.Context(), "SELECT id, message_key, seq FROM handled.effects ORDER BY n")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e effect
		if err := rows.Scan(&e.id, &e.key, &e.seq); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// effectsOnce: each event has one effect, and those of a key are in the stream's order.
func effectsOnce(list []effect, events []event) error {
	effects, last := map[string]int{}, map[string]uint64{}
	for _, e := range list {
		effects[e.id]++
		if e.key != "" && e.seq <= last[e.key] { // without a key there is no order
			return fmt.Errorf("the effect of %s (key %s, sequence %d) came after that of sequence %d", e.id, e.key, e.seq, last[e.key])
		}
		last[e.key] = e.seq
	}
	for _, e := range events {
		if effects[e.id] != 1 {
			return fmt.Errorf("%s has %d effects", e, effects[e.id])
		}
		delete(effects, e.id)
	}
	for id := range effects {
		return fmt.Errorf("%d effects are of no event, one is %s", len(effects), id)
	}
	return nil
}

// bounds of a streamer, however large the transactions and however bad the night.
const (
	mostGoroutines = 200
	mostMemory     = 256 << 20
)

func (o *observed) bounded() error {
	var errs []error
	if o.goroutines > mostGoroutines {
		errs = append(errs, fmt.Errorf("I10: a streamer had %v goroutines", o.goroutines))
	}
	if o.memory > mostMemory {
		errs = append(errs, fmt.Errorf("I10: a streamer took %.0f MiB", o.memory/(1<<20)))
	}
	if o.memory == 0 {
		errs = append(errs, errors.New("no streamer ever said how much memory it takes"))
	}
	return errors.Join(errs...)
}
