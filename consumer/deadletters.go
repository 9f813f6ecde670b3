package consumer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/deadletter"
)

// Errors of [DeadLetters].
var (
	// ErrNoDeadLetter: there is none of that number: it was replayed or dropped.
	ErrNoDeadLetter = errors.New("there is no such dead letter")
	// ErrQuarantined: a relay could not publish the row, so no consumer has seen it.
	// Insert it again, mended, into the outbox table, and drop the dead letter.
	ErrQuarantined = errors.New("a relay quarantined this row, which no consumer can replay: insert it again, mended, into the outbox table")
	// ErrNoConsumer: no consumer of that name has run that would read the replay.
	ErrNoConsumer = errors.New("no consumer of that name reads replays: start it once")
)

// DeadLetter is a message that a consumer gave up, or a row that a relay could not publish.
type DeadLetter struct {
	// Sequence is its number in the stream of dead letters, by which it is replayed or dropped.
	Sequence uint64
	// At is when it was given up.
	At time.Time
	// By is the name of the consumer that gave it up, or of the relay's source.
	By string
	// Quarantined says that it is a relay's row.
	Quarantined bool
	// Reason is the last error, on one line.
	Reason string
	// Stack is where the handler panicked, a line for each call; else empty.
	Stack string
	// Attempts is how often the handler ran; 0 for a row.
	Attempts int
	// Part says which part of a row it is that was larger than a message.
	Part string
	// Message is what the handler got, as far as it can be read.
	Message *Message

	raw *jetstream.RawStreamMsg
}

// DeadLetters is the stream of the dead letters of another stream. It is safe for
// concurrent use, also by several processes: each dead letter is replayed once.
type DeadLetters struct {
	js     jetstream.JetStream
	of     string
	stream jetstream.Stream
}

// OpenDeadLetters returns the dead letters of a stream; "" is the default one. It
// is an error when there is no stream for them.
func OpenDeadLetters(ctx context.Context, js jetstream.JetStream, stream string) (*DeadLetters, error) {
	setDefault(&stream, binjet.DefaultStream)
	s, err := js.Stream(ctx, deadletter.Stream(stream))
	if err != nil {
		return nil, fmt.Errorf("look up stream %s, which consumers and relays create when they start: %w", deadletter.Stream(stream), err)
	}
	return &DeadLetters{js, stream, s}, nil
}

// Filter chooses dead letters. What is not set chooses all.
type Filter struct {
	// By is the name of a consumer, or of a relay's source.
	By string
	// Topic is a topic or a pattern of topics, as for Handle.
	Topic string
	// ID is a message's.
	ID string
	// Reason is a part of the reason.
	Reason string
	// Since and Before say when it was given up.
	Since, Before time.Time
	// From is the first number to look at.
	From uint64
}

func (f Filter) fits(l *DeadLetter) bool {
	return (f.ID == "" || l.Message.ID == f.ID) && strings.Contains(l.Reason, f.Reason) &&
		(f.Since.IsZero() || !l.At.Before(f.Since)) && (f.Before.IsZero() || l.At.Before(f.Before))
}

// subject is what the broker can choose by.
func (f Filter) subject(stream string) (string, error) {
	by, topic := "*", ">"
	if f.By != "" {
		by = f.By
		if err := binjet.CheckToken(by); err != nil {
			return "", fmt.Errorf("filter By: %w", err)
		}
	}
	if f.Topic != "" {
		topic = f.Topic
		if err := checkPattern(topic); err != nil {
			return "", fmt.Errorf("filter Topic: %w", err)
		}
	}
	return deadletter.Subject(stream, by, topic), nil
}

// List reads the dead letters that fit, in the order in which they were written,
// up to the last one that is there when it begins. One is held at a time. An error
// ends it.
func (l *DeadLetters) List(ctx context.Context, f Filter) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		subject, err := f.subject(l.of)
		if err != nil {
			yield(nil, err)
			return
		}
		info, err := l.stream.Info(ctx)
		if err != nil {
			yield(nil, fmt.Errorf("ask for the last dead letter: %w", err))
			return
		}
		for seq := max(f.From, 1); seq <= info.State.LastSeq; {
			raw, err := l.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read the dead letter behind %d: %w", seq, err))
				return
			}
			if raw.Sequence > info.State.LastSeq {
				return
			}
			seq = max(seq, raw.Sequence) + 1 // whatever the answer says, this ends
			if deadletter.IsReplay(l.of, raw.Subject) {
				continue
			}
			if letter := l.decode(raw); f.fits(letter) && !yield(letter, nil) {
				return
			}
		}
	}
}

// Get reads one dead letter. The error is [ErrNoDeadLetter] when it is not there.
func (l *DeadLetters) Get(ctx context.Context, sequence uint64) (*DeadLetter, error) {
	raw, err := l.stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && deadletter.IsReplay(l.of, raw.Subject) {
		return nil, fmt.Errorf("dead letter %d: %w", sequence, ErrNoDeadLetter)
	}
	if err != nil {
		return nil, fmt.Errorf("read dead letter %d: %w", sequence, err)
	}
	return l.decode(raw), nil
}

func (l *DeadLetters) decode(raw *jetstream.RawStreamMsg) *DeadLetter {
	h := raw.Header
	by, topic := deadletter.Parts(l.of, raw.Subject)
	letter := &DeadLetter{
		Sequence: raw.Sequence, At: raw.Time, By: by, Quarantined: h.Get(binjet.HeaderOriginSequence) == "",
		Reason: h.Get(binjet.HeaderDeadReason), Stack: deadletter.Lines(h.Get(binjet.HeaderDeadStack)),
		Part: h.Get(binjet.HeaderDeadPart), raw: raw,
	}
	letter.Attempts, _ = strconv.Atoi(h.Get(binjet.HeaderDeadAttempts))
	if at, err := time.Parse(time.RFC3339Nano, h.Get(binjet.HeaderDeadAt)); err == nil {
		letter.At = at
	}
	letter.Message, _ = decodeOrigin(&nats.Msg{Subject: raw.Subject, Header: h, Data: raw.Data}, topic)
	letter.Message.Attempt = letter.Attempts
	return letter
}

// Replay puts dead letters back for the consumer that gave them up, and for no
// other, and returns how many. Each is stored as a replay before it is removed
// here, so that none is lost, whenever the process dies. One that was stored and
// not removed can be replayed again: for a day the broker knows it, and after that
// the consumer's inbox, since it keeps its message ID.
//
// A replay begins at attempt 1, and becomes a dead letter again when its attempts
// are used up. It comes behind all that was handled meanwhile, also of its key.
//
// It goes on after an error, and returns all of them joined: [ErrNoDeadLetter],
// [ErrQuarantined], [ErrNoConsumer], or what the broker says.
func (l *DeadLetters) Replay(ctx context.Context, sequences ...uint64) (replayed int, err error) {
	var faults []error
	for _, seq := range sequences {
		letter, err := l.Get(ctx, seq)
		if err == nil {
			err = l.replay(ctx, letter)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		replayed++
	}
	return replayed, errors.Join(faults...)
}

func (l *DeadLetters) replay(ctx context.Context, letter *DeadLetter) error {
	fail := func(err error) error { return fmt.Errorf("replay dead letter %d: %w", letter.Sequence, err) }
	if letter.Quarantined {
		return fail(ErrQuarantined)
	}
	if _, err := l.js.Consumer(ctx, l.stream.CachedInfo().Config.Name, replayDurable(letter.By)); err != nil {
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			err = fmt.Errorf("consumer %s: %w", letter.By, ErrNoConsumer)
		}
		return fail(err)
	}
	if _, err := l.js.PublishMsg(ctx, l.copied(letter), jetstream.WithExpectStream(l.stream.CachedInfo().Config.Name)); err != nil {
		return fail(err)
	}
	if err := l.remove(ctx, letter.Sequence); err != nil && !errors.Is(err, ErrNoDeadLetter) {
		return fmt.Errorf("%w (it is stored as a replay; replaying it again removes it and does not run it twice)", err)
	}
	return nil
}

// copied is the dead letter as a replay: without what says why it died, so that it
// is no larger.
func (l *DeadLetters) copied(letter *DeadLetter) *nats.Msg {
	_, topic := deadletter.Parts(l.of, letter.raw.Subject)
	m := nats.NewMsg(deadletter.ReplaySubject(l.of, letter.By, topic))
	m.Data = letter.raw.Data
	for name, values := range letter.raw.Header {
		switch name {
		case binjet.HeaderDeadReason, binjet.HeaderDeadStack, binjet.HeaderDeadAttempts, binjet.HeaderDeadAt, binjet.HeaderDeadConsumer:
		case jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer, jetstream.LastSequenceHeader:
			// Of the direct get by which it was read. Stored with the replay they would
			// stand before its own, and it would be taken for the message they name.
		default:
			m.Header[name] = values
		}
	}
	m.Header[binjet.HeaderDeadReplays] = []string{strconv.Itoa(letter.Message.Replayed + 1)}
	m.Header[jetstream.MsgIDHeader] = []string{fmt.Sprintf("replay.%d.%d", letter.Sequence, letter.raw.Time.UnixNano())}
	return m
}

// ReplayOptions say how [DeadLetters.ReplayAll] goes about it.
type ReplayOptions struct {
	// PerSecond bounds the rate. Default: 0, as fast as the broker stores them.
	PerSecond float64
}

// ReplayAll replays the dead letters that fit, up to the last one that is there
// when it begins, so that one that dies again is not replayed for ever. Rows that a
// relay quarantined are passed over; refused counts them. It ends at the first
// other error, and can be called again.
func (l *DeadLetters) ReplayAll(ctx context.Context, f Filter, opts ReplayOptions) (replayed, refused int, err error) {
	var pace <-chan time.Time
	if opts.PerSecond > 0 {
		tick := time.NewTicker(max(time.Duration(float64(time.Second)/opts.PerSecond), 1))
		defer tick.Stop()
		pace = tick.C
	}
	for letter, err := range l.List(ctx, f) {
		if err == nil && letter.Quarantined {
			refused++
			continue
		}
		if err == nil && pace != nil && replayed > 0 {
			select {
			case <-pace:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err == nil {
			err = l.replay(ctx, letter)
		}
		if err != nil {
			return replayed, refused, err
		}
		replayed++
	}
	return replayed, refused, nil
}

// Drop removes dead letters for good, and returns how many. It goes on after an
// error, and returns all of them joined.
func (l *DeadLetters) Drop(ctx context.Context, sequences ...uint64) (dropped int, err error) {
	var faults []error
	for _, seq := range sequences {
		if _, err := l.Get(ctx, seq); err != nil {
			faults = append(faults, err)
			continue
		}
		if err := l.remove(ctx, seq); err != nil {
			faults = append(faults, err)
			continue
		}
		dropped++
	}
	return dropped, errors.Join(faults...)
}

// remove tells one that somebody else has removed meanwhile from one that can't be removed.
func (l *DeadLetters) remove(ctx context.Context, sequence uint64) error {
	err := l.stream.DeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	if _, gone := l.stream.GetMsg(ctx, sequence); errors.Is(gone, jetstream.ErrMsgNotFound) {
		err = ErrNoDeadLetter
	}
	return fmt.Errorf("remove dead letter %d: %w", sequence, err)
}

// Waiting is how many replays the consumer of that name has not handled yet.
func (l *DeadLetters) Waiting(ctx context.Context, name string) (int, error) {
	cons, err := l.js.Consumer(ctx, l.stream.CachedInfo().Config.Name, replayDurable(name))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the replays of consumer %s: %w", name, err)
	}
	info := cons.CachedInfo()
	return int(info.NumPending) + info.NumAckPending, nil
}
