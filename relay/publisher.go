package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/pause"
)

// RefusedError is the broker's refusal of a commit, as it was worded.
type RefusedError struct {
	Code        int // JetStream's err_code, 503 for no responders
	Description string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the broker refused: %s (code %d)", e.Description, e.Code)
}

const (
	codeAtomicDisabled  = 10174
	codeTooLargeBatch   = 10199 // the server's own limit is lower than ours
	codeTooLargeHeaders = 10097
	codeTTLInvalid      = 10165
	codeTTLDisabled     = 10166
)

var (
	// ErrNoAnswer says that a commit was not answered in time. The stream is asked then.
	ErrNoAnswer = errors.New("no answer to the commit in time")
	// ErrReconnected says that a commit was not sent. The broker compares sequences
	// only, and one that came back with less than it had acknowledged counts the same
	// ones again, maybe for another relay. The stream is asked first.
	ErrReconnected = errors.New("the broker was connected to anew since the checkpoint was read")
)

// publisher speaks the atomic batch protocol for one stream and knows the answer
// to one commit at a time. It is used by one goroutine.
type publisher struct {
	nc      *nats.Conn
	subject string // of the checkpoint
	timeout time.Duration

	inbox   string
	sub     *nats.Subscription
	replies chan *nats.Msg
	serial  uint64
	numbers []string // of messages in a batch, as header values
}

func newPublisher(nc *nats.Conn, subject string, timeout time.Duration) (*publisher, error) {
	p := &publisher{nc: nc, subject: subject, timeout: timeout,
		inbox: nc.NewInbox(), replies: make(chan *nats.Msg, 2048)}
	sub, err := nc.ChanSubscribe(p.inbox+".*", p.replies)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the broker's answers: %w", err)
	}
	p.sub = sub
	return p, nil
}

func (p *publisher) close() { _ = p.sub.Unsubscribe() }

// batch is what is committed together: events and the checkpoint behind them.
// Without events it is a checkpoint alone.
type batch struct {
	id     string
	staged int // messages of it that were sent under id
	msgs   []*nats.Msg
	bytes  int
	events int // moved past, those that were in the stream already included
	oldest time.Time
	parts  []Part
	held   int // bytes of its items in the backlog
	ends   int // of its items that end what the source gave at once

	alone bool // its one event goes by itself

	pos checkpoint.Position // after it
}

func (b *batch) add(it *item) {
	b.msgs = append(b.msgs, it.msgs...)
	if len(it.msgs) > 0 {
		b.bytes += it.bytes
	}
	b.events += len(it.msgs)
	b.held += it.bytes
	if it.ends {
		b.ends++
	}
	if it.tx != nil && len(it.msgs) > 0 {
		b.parts = append(b.parts, Part{Committed: it.tx.Committed, Messages: it.msgs})
		if b.oldest.IsZero() {
			b.oldest = it.tx.Committed
		}
	}
	it.apply(&b.pos)
}

// stage sends what of b was not sent yet. Nothing of it is visible, nor is
// anything answered, before the commit.
func (p *publisher) stage(b *batch) error {
	if b.id == "" && len(b.msgs) > 0 {
		b.id = randomToken(12)
	}
	for ; b.staged < len(b.msgs); b.staged++ {
		msg := b.msgs[b.staged]
		p.label(msg, b)
		if err := p.nc.PublishMsg(msg); err != nil {
			return fmt.Errorf("stage event %s: %w", msg.Header.Get("Outbox-Id"), err)
		}
	}
	return nil
}

// label makes msg the next one of b to be staged.
func (p *publisher) label(msg *nats.Msg, b *batch) {
	for len(p.numbers) <= b.staged {
		p.numbers = append(p.numbers, strconv.Itoa(len(p.numbers)+1))
	}
	msg.Reply = ""
	o := ownOf(msg)
	o.set(slotBatchID, b.id)
	o.set(slotBatchSequence, p.numbers[b.staged])
	p.mutateStage(msg)
}

// unlabel makes msg one of no batch.
func unlabel(msg *nats.Msg) {
	o := ownOf(msg)
	o.set(slotBatchID, "")
	o.set(slotBatchSequence, "")
}

// id1 is the message ID of its first event.
func (b *batch) id1() string { return b.msgs[0].Header.Get(binjet.HeaderID) }

// restage forgets what was sent of b, so that it is sent again under a new ID.
func (b *batch) restage() { b.id, b.staged = "", 0 }

// commit sends the checkpoint as the last message of w's batch, on the condition
// that the one before it is still the last; or w's event, if that goes by itself. The
// answer comes by replies.
func (p *publisher) commit(w *write) error {
	b := w.batch
	p.serial++ // first: if nothing is sent, no late answer may be taken for this one's
	w.serial = p.serial
	if w.attempt.connection != p.nc.Stats().Reconnects {
		b.restage()
		return ErrReconnected
	}
	if w.alone {
		return p.publishAlone(w)
	}
	if err := p.stage(b); err != nil {
		return err
	}
	msg := &nats.Msg{Subject: p.subject, Reply: p.reply(w), Data: w.record, Header: nats.Header{
		headerExpectedSeq: []string{strconv.FormatUint(w.attempt.prevSeq, 10)},
		headerRollup:      []string{"sub"},
	}}
	if len(b.msgs) > 0 {
		msg.Header[headerBatchID] = []string{b.id}
		msg.Header[headerBatchSequence] = []string{strconv.Itoa(len(b.msgs) + 1)}
		msg.Header[headerBatchCommit] = []string{"1"}
	}
	w.expectTail(msg)
	if p.mutateCommit(w, msg) {
		return nil
	}
	if err := p.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (p *publisher) reply(w *write) string {
	return p.inbox + "." + strconv.FormatUint(w.serial, 10)
}

// answer reads a reply: the sequence that the checkpoint got, or why there is
// none. mine is false for an answer to something else than w's last commit.
func (p *publisher) answer(w *write, reply *nats.Msg) (seq uint64, mine bool, err error) {
	if reply.Subject != p.reply(w) {
		return 0, false, nil
	}
	if reply.Header.Get("Status") == "503" {
		return 0, true, &RefusedError{Code: 503, Description: "no stream answers on this subject"}
	}
	var ack struct {
		Error *struct {
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, true, fmt.Errorf("answer to the commit is unreadable: %w", err)
	}
	switch {
	case ack.Error != nil:
		return 0, true, &RefusedError{Code: ack.Error.ErrCode, Description: ack.Error.Description}
	case ack.Seq == 0:
		return 0, true, errors.New("answer to the commit names no sequence")
	}
	return ack.Seq, true, nil
}

// wait waits for the answer to the last commit of w.
func (p *publisher) wait(ctx context.Context, w *write) (uint64, error) {
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	for {
		select {
		case reply := <-p.replies:
			if seq, mine, err := p.answer(w, reply); mine {
				return seq, err
			}
		case <-timer.C:
			return 0, ErrNoAnswer
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// write is a commit from its beginning to its settled end.
type write struct {
	batch      *batch
	record     []byte
	checkpoint checkpoint.Checkpoint
	attempt    attempt
	serial     uint64 // of the last commit of it, 0 before

	// alone: the batch's only event goes by itself, without a checkpoint.
	alone bool
	// behind is how many events that went by themselves the checkpoint covers, and
	// expectLast the sequence that has to be the stream's last one: 0 for any.
	behind     int
	expectLast uint64
}

// settleLoop finds out what became of w, whose first try ended with cause. A
// checkpoint alone is sent again for as long as the stream does not hold it; for
// one with events, or of events that lie in front of it, it returns [errAbsent] instead. Otherwise it returns the
// sequence, or [errDeposed], or an *olderError, or ctx's error.
func (p *publisher) settleLoop(ctx context.Context, st *store.Store, w *write, cause error, seen func(verdict, error)) (uint64, error) {
	started := time.Now()
	var reconnected time.Time
	p.mutateSettle(ctx, w)
	for try := 0; ; try++ {
		if err := permanent(cause); err != nil {
			return 0, err
		}
		readCtx, cancel := context.WithTimeout(ctx, p.timeout)
		w.attempt.connection = st.Connection()
		held, err := st.Load(readCtx)
		cancel()
		var undecodable *store.DecodeError
		if errors.As(err, &undecodable) {
			return 0, &checkpoint.HaltError{Problem: "the checkpoint subject " + p.subject + " holds something else than a checkpoint that this version can use",
				Hint: "See who else writes to it", Cause: err}
		}
		v := settle(w.attempt, held, err)
		v, cause = mutateVerdict(v, cause, w, held)
		seen(v, errors.Join(cause, notFoundIsNoCause(err)))
		switch v {
		case committed:
			return held.Seq, nil
		case deposed:
			return 0, fmt.Errorf("%w: epoch %d of %s holds the checkpoint at sequence %d", errDeposed, held.Epoch, held.Instance, held.Seq)
		case older:
			return 0, &olderError{mine: w.attempt.prevSeq, held: held.Seq}
		case resend:
			if unrouted(cause) && time.Since(started) > lasting {
				return 0, fmt.Errorf("%w: %w", errUnrouted, cause)
			}
			if w.behind > 0 || len(w.batch.msgs) > 0 && !errors.Is(cause, ErrReconnected) {
				return 0, errAbsent
			}
		}
		if err := pause.For(ctx, backoff(try)); err != nil {
			return 0, err
		}
		if time.Since(started) > 2*time.Second && time.Since(reconnected) > 5*time.Second && len(p.nc.Servers()) > 1 {
			reconnected = time.Now() // a server that is cut off from its peers keeps refusing
			_ = p.nc.ForceReconnect()
		}
		if v == resend {
			var seq uint64
			if seq, cause = p.commitAndWait(ctx, w); cause == nil {
				return seq, nil
			}
		}
	}
}

// permanent says what to do about a cause that sending again does not change.
func permanent(cause error) error {
	halt := func(hint string) error {
		return &checkpoint.HaltError{Problem: "the broker never takes the next batch", Hint: hint, Cause: cause}
	}
	if errors.Is(cause, nats.ErrMaxPayload) {
		return halt("Raise max_payload on every server of the broker to what it was, and start again")
	}
	var refused *RefusedError
	if !errors.As(cause, &refused) {
		return nil
	}
	switch refused.Code {
	case codeAtomicDisabled:
		return fmt.Errorf("%w: allow atomic batches in the stream's configuration (allow_atomic)", cause)
	case codeTooLargeBatch:
		return halt("Raise max_batch_size in the broker's jetstream limits to 1000, or leave it out, and start again")
	case codeTooLargeHeaders:
		return halt("An event has more than 64 KiB of headers: it has to be taken out of the outbox by hand")
	case codeTTLInvalid:
		return halt("An event's Nats-TTL is no duration of at least a second: it has to be taken out of the outbox by hand")
	case codeTTLDisabled:
		return halt("An event has an expiry: set allow_msg_ttl in the stream's configuration, and start again")
	}
	return nil
}

func notFoundIsNoCause(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// commitAndWait is one try.
func (p *publisher) commitAndWait(ctx context.Context, w *write) (uint64, error) {
	if err := p.commit(w); err != nil {
		return 0, err
	}
	return p.wait(ctx, w)
}

// lasting is how long a refusal may last before more than the write is looked at.
const lasting = 2 * time.Second

func unrouted(cause error) bool {
	var refused *RefusedError
	return errors.As(cause, &refused) && refused.Code == 503
}

var (
	// errUnrouted: the stream can be read, but does not take the subject.
	errUnrouted = errors.New("the stream is there, but nothing takes its subjects")
	errDeposed  = errors.New("another relay took over")
	// errAbsent: the stream does not hold the checkpoint of a batch. Some of its
	// events may be there all the same, and the whole of it may still arrive.
	errAbsent = errors.New("the checkpoint of the batch is not in the stream")
)

// olderError says that the stream holds an older checkpoint than it had
// acknowledged, or none (held 0).
type olderError struct{ mine, held uint64 }

func (e *olderError) Error() string {
	return fmt.Sprintf("the stream holds the checkpoint at sequence %d where %d had been stored", e.held, e.mine)
}

// backoff grows from 20 ms to 2 s, with jitter of a half.
func backoff(try int) time.Duration {
	d := 20 * time.Millisecond << min(try, 7)
	d = min(d, 2*time.Second)
	return d/2 + rand.N(d/2)
}
