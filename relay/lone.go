package relay

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// A batch of one costs a single server some 2.5 ms, since it is put aside on disk
// first; a plain message costs a tenth of that. So where little is to be done on such a
// server, a transaction of one event is published by itself, behind the checkpoint, and
// the checkpoint follows. Such an event expects
//
//   - that the checkpoint is still the one that is held: a relay that was replaced
//     can't write it;
//   - that what was written before it, an event by itself or that checkpoint, is still the
//     last message of the stream: a copy of it that comes late is refused, and a stream that
//     lost its tail, but not the checkpoint, takes no more. The checkpoint that follows
//     expects the same.
//
// One is in flight at a time. Whatever the answer is but an OK, nothing but the
// stream tells what became of it, and only once it can't change any more: the checkpoint
// is written once more at its old position, from when on every copy of the event is
// refused, and what lies in front of that fence is read. An event that is not there goes
// as a batch. A relay that dies leaves such events behind its checkpoint, where whoever
// takes over looks for them anyway, behind its own compare-and-set.
const (
	// loneMost is how many may lie behind the checkpoint: as many as a take-over
	// reads one by one.
	loneMost = 100
	// loneTime is how long the checkpoint may be behind the first of them.
	loneTime = 100 * time.Millisecond
	// loneQueue is how much may wait: above that, a batch is done sooner.
	loneQueue = 16
	// loneBytes keeps a max_payload that is lowered meanwhile from refusing an event
	// that the stream has already.
	loneBytes = 32 << 10

	restShortest = time.Second
	restLongest  = time.Minute
)

// lone is what was published by itself behind the checkpoint that is held.
type lone struct {
	ids   []string
	since time.Time // when the first was sent
	// tail is the sequence of the last one; 0 for none, and once a checkpoint lies
	// behind it, which can't be there without it.
	tail uint64

	rest   time.Duration // how long the next doubt keeps events from going by themselves
	resume time.Time
}

// add notes one that is stored. fenced says that a checkpoint lies behind it.
func (l *lone) add(w *write, seq uint64, fenced bool) {
	if len(l.ids) == 0 {
		l.since = time.Now()
	}
	l.ids = append(l.ids, w.batch.id1())
	if l.tail = seq; fenced {
		l.tail = 0
	}
}

// covered forgets them: a checkpoint says it all.
func (l *lone) covered() {
	if len(l.ids) >= loneMost {
		l.rest = 0
	}
	l.ids, l.tail = l.ids[:0], 0
}

// full: the checkpoint has to follow before another one may go.
func (l *lone) full(limit time.Duration) bool {
	return len(l.ids) >= loneMost || len(l.ids) > 0 && time.Since(l.since) >= limit
}

// doubted lets batches do for a while. What disturbs may be another writer of the
// stream, whose messages come in between again and again.
func (l *lone) doubted() {
	l.rest = min(max(2*l.rest, restShortest), restLongest)
	l.resume = time.Now().Add(l.rest)
}

// mayGoAlone: no expiry, since it has to be found as long as the checkpoint is behind it.
func mayGoAlone(tx *checkpoint.Transaction, it *item) bool {
	if tx.Snapshot != nil || tx.More || tx.Offset > 0 || len(tx.Messages) != 1 || len(it.msgs) != 1 || it.bytes > loneBytes {
		return false
	}
	return len(it.msgs[0].Header[binjet.HeaderTTL]) == 0
}

// quiet: what waits is little, and of transactions with one event each, and the
// checkpoint need not follow first.
//
// While that is in flight, what comes waits: put into a batch it would be staged, and the
// checkpoint's answer would wait for the disk with it.
func (s *session) quiet() bool {
	follows := s.flight != nil && !s.flight.alone
	if !follows && s.lone.full(s.loneTime()) {
		return false
	}
	if !s.r.single.Load() || s.strays != nil || s.open.events > 0 || time.Now().Before(s.lone.resume) {
		return false
	}
	events, batches := s.queue.waiting()
	return events > 0 && events <= loneQueue && batches == 0
}

// behindUs: nothing may be put into a batch before the checkpoint has caught up.
func (s *session) behindUs() bool {
	if s.flight != nil {
		return s.flight.alone
	}
	return len(s.lone.ids) > 0
}

// due: the checkpoint has to follow now.
func (s *session) due() bool {
	if len(s.lone.ids) == 0 || s.flight != nil || len(s.open.msgs) > 0 {
		return false
	}
	if s.lone.full(s.loneTime()) {
		return true
	}
	events, _ := s.queue.waiting()
	return events > 0 && !s.quiet()
}

func (s *session) loneTime() time.Duration { return min(loneTime, s.r.cfg.Heartbeat) }

// sendAlone publishes the only event of the open batch.
func (s *session) sendAlone(ctx context.Context, timeout *time.Timer) error {
	w := s.r.prepareAlone(s.open, s.held, max(s.lone.tail, s.held.Seq))
	s.open = s.newBatch(w.batch.pos)
	return s.launch(ctx, w, timeout)
}

// landedAlone: w is stored at seq, in front of a checkpoint if fenced.
func (s *session) landedAlone(w *write, seq uint64, fenced bool) {
	s.lone.add(w, seq, fenced)
	s.r.publishedAlone(s.held, w, seq, len(s.lone.ids), time.Since(s.sentAt))
}

// publishAlone sends w's event by itself. What it expects is no part of it, since it
// may have to go in a batch yet.
func (p *publisher) publishAlone(w *write) error {
	msg := w.batch.msgs[0]
	unlabel(msg)
	msg.Reply = p.reply(w)
	msg.Header[headerExpectedSeq] = []string{strconv.FormatUint(w.attempt.prevSeq, 10)}
	msg.Header[headerExpectedSubject] = []string{p.subject}
	w.expectTail(msg)
	p.mutateAlone(msg)
	err := p.nc.PublishMsg(msg)
	for _, name := range []string{headerExpectedSeq, headerExpectedSubject, headerExpectedLast} {
		delete(msg.Header, name)
	}
	if err != nil {
		return fmt.Errorf("publish event %s: %w", w.batch.id1(), err)
	}
	return nil
}

// expectTail adds the condition that what was written last, where that was an event by
// itself or this is one, is still the last message of the stream.
func (w *write) expectTail(msg *nats.Msg) {
	if w.expectLast != 0 {
		msg.Header[headerExpectedLast] = []string{strconv.FormatUint(w.expectLast, 10)}
	}
}
