package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

const (
	returnedPrefix = "returned."
	// returnedLifetime is how long other processes can learn what was handed back;
	// after that the delivery counts as an attempt.
	returnedLifetime = 7 * 24 * time.Hour
	// returnedMost bounds what one process writes down, about 25 bytes each.
	returnedMost = 5000
)

// errHeldBack is why a message that is not due yet did not run. A message's headers
// say that it was held back once, so nothing has to be written down for that.
var errHeldBack = errors.New("held back until its time")

// returned tells the other processes of the name which deliveries were no
// attempts: the broker counts all. It is written down before a message is handed
// back, and read when a message comes that another process had before.
type returned struct {
	*Consumer
	bucket *bucket
	key    string
	notes  atomic.Uint64

	writing sync.Mutex
	written uint64 // of notes

	reading sync.Mutex
	next    uint64 // sequence of the bucket's stream
}

// returnedRecord is the value of a key: by stream, sequence, deliveries and attempts.
type returnedRecord struct {
	Messages map[string][][3]uint64 `json:"messages"`
}

func newReturned(c *Consumer) *returned {
	return &returned{Consumer: c, bucket: c.newBucket(), key: returnedPrefix + newInstance(), next: 1}
}

// note writes down the ledger's deliveries that were no attempts. Callers at the
// same time share a write. When it can't be written, the delivery costs an attempt
// wherever else the message goes.
func (r *returned) note(replicas int) {
	want := r.notes.Add(1)
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.written >= want || !r.js.Conn().IsConnected() { // nor could the message be handed back
		return
	}
	including := r.notes.Load()
	if err := r.write(replicas); err != nil {
		r.log.Warn("could not write down that messages are handed back unhandled; it costs each an attempt", slog.Any("error", err))
		return
	}
	r.written = including
}

func (r *returned) write(replicas int) error {
	record := returnedRecord{Messages: make(map[string][][3]uint64)}
	for _, e := range r.ledger.unattempted(returnedMost) {
		record.Messages[e.stream] = append(record.Messages[e.stream], [3]uint64{e.sequence, e.delivered, uint64(max(e.attempts, 0))})
	}
	if len(record.Messages) == 0 {
		return nil
	}
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bucketTimeout)
	defer cancel()
	if r.bucket.kv == nil {
		if err := r.bucket.ensure(ctx, replicas); err != nil {
			return err
		}
	}
	m := nats.NewMsg(r.bucket.publishSubject(r.key))
	m.Data = data
	_, err = r.js.PublishMsg(ctx, m, jetstream.WithMsgTTL(returnedLifetime))
	return err
}

// learn reads what other processes have written down since the last time.
func (r *returned) learn() {
	r.reading.Lock()
	defer r.reading.Unlock()
	own := r.bucket.subject(r.key)
	for {
		m, err := getMessage(context.Background(), r.js.Conn(), r.bucket.api, "KV_"+binjet.ConsumerBucket,
			map[string]any{"seq": r.next, "next_by_subj": r.bucket.subject(returnedPrefix + "*")})
		if errors.Is(err, errNoMessage) {
			return
		}
		if err != nil {
			r.log.Warn("could not read which deliveries of a message were no attempts; all count", slog.Any("error", err))
			return
		}
		r.next = m.Sequence + 1
		var record returnedRecord
		if m.Subject == own || len(m.Data) == 0 { // ours, or the marker of one that expired
			continue
		}
		if err := json.Unmarshal(m.Data, &record); err != nil {
			r.log.Warn("a record of messages that were handed back can't be read", slog.String("key", m.Subject), slog.Any("error", err))
			continue
		}
		for stream, messages := range record.Messages {
			for _, n := range messages {
				r.ledger.learn(entry{place: place{stream, n[0]}, delivered: n[1], attempts: int(n[2])})
			}
		}
	}
}
