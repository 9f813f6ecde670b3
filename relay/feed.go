package relay

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/slab"
)

// idleBytes is what an XA transaction without events counts in the queue.
const idleBytes = 512

// feeder turns transactions into queue items, each of which fits into a batch.
type feeder struct {
	encoder
	queue       *queue
	backlog     *backlog
	maxMessages int
	maxBytes    int
	// quarantine puts a message of tx aside for good, or says why it can't.
	quarantine func(ctx context.Context, tx *checkpoint.Transaction, bad checkpoint.Invalid) error
	// askLimits learns anew what the broker takes.
	askLimits func(context.Context) error
	// rescan leaves out the rows that the stream holds, for a snapshot that mends a gap.
	rescan *rescan

	spare slab.Slab[*nats.Msg]
	sizes []int
}

// feed puts tx into the queue, in parts when it does not fit into one batch.
func (f *feeder) feed(ctx context.Context, tx *checkpoint.Transaction) error {
	if len(tx.Messages) == 0 && tx.Snapshot == nil && tx.Lost.IsEmpty() && !tx.More && tx.Offset == 0 && tx.Prepared == nil && tx.Decided == "" && tx.Restated == nil {
		f.queue.skip(tx)
		return nil
	}
	f.backlog.feed()
	strays := 0
	if tx.Snapshot != nil && tx.Snapshot.Rescan != nil {
		var err error
		if tx, strays, err = f.rescan.missing(ctx, tx); err != nil {
			return err
		}
	}
	msgs, sizes, err := f.encodeAll(ctx, tx)
	if err != nil {
		return err
	}
	for from := 0; ; {
		to, bytes := f.cut(sizes, from)
		part := partOf(tx, from, to)
		if len(msgs) == 0 && tx.Snapshot == nil { // it takes room nevertheless
			bytes = idleBytes
		}
		f.backlog.hold(bytes) // also while it waits for room
		it := item{tx: part, msgs: publishable(msgs[from:to]), bytes: bytes, ends: to == len(msgs), strays: strays}
		it.alone = mayGoAlone(part, &it)
		if err := f.queue.put(ctx, it); err != nil {
			return err
		}
		strays = 0
		if to == len(msgs) {
			return nil
		}
		from = to
	}
}

// encodeAll returns a message and its size for each of tx; nil for one that can't
// be published and was quarantined instead.
func (f *feeder) encodeAll(ctx context.Context, tx *checkpoint.Transaction) ([]*nats.Msg, []int, error) {
	total := len(tx.Messages)
	if tx.More || tx.Offset > 0 || !f.fits(tx) {
		total = 0
	}
	msgs, sizes := f.room(len(tx.Messages))
	invalid := tx.Invalid
	for i := range tx.Messages {
		if len(invalid) > 0 && invalid[0].Index == i {
			if err := f.quarantine(ctx, tx, invalid[0]); err != nil {
				return nil, nil, err
			}
			invalid = invalid[1:]
			continue
		}
		msg, size, err := f.encode(tx, i, total)
		if err != nil && isTooLarge(err) {
			if err := f.askLimits(ctx); err != nil {
				return nil, nil, err
			}
			msg, size, err = f.encode(tx, i, total)
		}
		if err != nil {
			if err := f.quarantine(ctx, tx, checkpoint.Invalid{Index: i, Reason: err.Error()}); err != nil {
				return nil, nil, err
			}
			continue
		}
		msgs[i], sizes[i] = msg, size
	}
	return msgs, sizes, nil
}

// room returns space for n messages, cut off from a larger piece, and for their sizes,
// which is used again at the next call.
func (f *feeder) room(n int) ([]*nats.Msg, []int) {
	f.sizes = append(f.sizes[:0], make([]int, n)...)
	return f.spare.Take(n, MaxBatchMessages), f.sizes
}

// publishable drops the places of messages that are quarantined.
func publishable(msgs []*nats.Msg) []*nats.Msg {
	return slices.DeleteFunc(msgs, func(m *nats.Msg) bool { return m == nil })
}

// fits guesses before encoding whether tx is published whole, for the header
// that says so; cut decides. The guess may only err towards "larger than a batch".
func (f *feeder) fits(tx *checkpoint.Transaction) bool {
	if len(tx.Messages) > f.maxMessages {
		return false
	}
	bytes := 0
	for i := range tx.Messages {
		m := &tx.Messages[i]
		bytes += len(f.prefix) + len(f.source) + 2*len(m.Topic) + len(m.ID) + 2*len(m.Key) + len(m.ContentType) + len(m.Payload) + 512
		for name, values := range m.Headers {
			for _, v := range values {
				bytes += len(name) + len(v) + 8
			}
		}
	}
	return bytes <= f.maxBytes
}

// cut returns the end of the part that begins at from, and its bytes. A message
// larger than a batch's bytes is a part of its own.
func (f *feeder) cut(sizes []int, from int) (to, bytes int) {
	for to = from; to < len(sizes) && to-from < f.maxMessages; to++ {
		if to > from && bytes+sizes[to] > f.maxBytes {
			break
		}
		bytes += sizes[to]
	}
	return to, bytes
}

// partOf returns messages from..to of tx as a transaction of its own, which moves
// the position only as far as these messages go.
func partOf(tx *checkpoint.Transaction, from, to int) *checkpoint.Transaction {
	if from == 0 && to == len(tx.Messages) {
		return tx
	}
	part := *tx
	part.Messages = tx.Messages[from:to]
	part.Offset = tx.Offset + from
	if tx.Snapshot == nil {
		part.More = tx.More || to < len(tx.Messages)
	} else if to < len(tx.Messages) { // rows of a snapshot come in the order of their IDs
		progress := *tx.Snapshot
		progress.After, progress.AfterAt = part.Messages[len(part.Messages)-1].ID, cutAt(tx, to)
		progress.Rows -= min(progress.Rows, uint64(len(tx.Messages)-to))
		part.Snapshot, part.End = &progress, false
	}
	return &part
}

// cutAt is [checkpoint.Snapshot.AfterAt] where rows of a snapshot are cut in front
// of the message n. Where rows of one ID lie on both sides it is just before the
// time of the first one to come: the last one may have no time of its own.
func cutAt(tx *checkpoint.Transaction, n int) time.Time {
	last, next := &tx.Messages[n-1], &tx.Messages[n]
	switch {
	case tx.Snapshot.AfterAt.IsZero():
		return time.Time{}
	case last.ID == next.ID:
		return next.CreatedAt.Add(-time.Microsecond)
	}
	return last.CreatedAt
}
