package dashboard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

const (
	askTimeout = 2 * time.Second // of the broker, for what is shown
	readerName = "binjet dashboard"
)

var errStarting = errors.New("the process is starting: NATS is not connected yet")

// stream reads the messages of a stream for people, and changes nothing.
type stream struct {
	nc           *nats.Conn
	js           jetstream.JetStream
	name, prefix string
}

// message is one of the stream.
type message struct {
	Seq            uint64
	Published      time.Time
	Subject, Topic string
	ID, Key, Type  string
	Source, Tx     string
	Index          string // in its transaction
	Bytes          uint64
	Created        time.Time
	Headers        []header // all of them, sorted
	Payload        shown    // of one that was read whole
}

type header struct{ Name, Value string }

// connected fails at once rather than at the end of a wait.
func (s *stream) connected() error {
	switch {
	case s == nil:
		return errStarting
	case !s.nc.IsConnected():
		return errors.New("NATS is not connected; the relay is trying again")
	}
	return nil
}

// get reads one message whole.
func (s *stream) get(ctx context.Context, seq uint64) (message, error) {
	if err := s.connected(); err != nil {
		return message{}, err
	}
	from, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return message{}, fmt.Errorf("look up stream %s: %w", s.name, err)
	}
	raw, err := from.GetMsg(ctx, seq)
	if err != nil {
		return message{}, err
	}
	m := describe(raw.Subject, raw.Header, seq, raw.Time)
	m.Bytes = uint64(len(raw.Data))
	m.Payload = show(m.Type, raw.Data)
	return m, nil
}

func describe(subject string, h nats.Header, seq uint64, published time.Time) message {
	m := message{Seq: seq, Published: published, Subject: subject, Topic: h.Get(binjet.HeaderTopic), ID: h.Get(binjet.HeaderID),
		Key: h.Get(binjet.HeaderKey), Type: h.Get(binjet.HeaderContentType), Source: h.Get(binjet.HeaderSource),
		Tx: h.Get(binjet.HeaderTx), Index: h.Get(binjet.HeaderTxIndex)}
	m.Created, _ = time.Parse(time.RFC3339Nano, h.Get(binjet.HeaderCreatedAt)) // zero where it is not said
	for name, values := range h {
		m.Headers = append(m.Headers, header{name, strings.Join(values, ", ")})
	}
	slices.SortFunc(m.Headers, func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// recent are the last n messages of a topic (a pattern; "" is all) before a sequence
// (0: the end), newest first, without their payloads. The broker finds messages
// forwards only, so it is asked how many there are behind a sequence until that is
// not many more than n.
func (s *stream) recent(ctx context.Context, topic string, before uint64, n int) ([]message, error) {
	if err := s.connected(); err != nil {
		return nil, err
	}
	from, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", s.name, err)
	}
	w := window{ctx: ctx, stream: from, filter: s.filter(topic, from.CachedInfo()), n: uint64(n)}
	state := from.CachedInfo().State
	w.first, w.end = max(state.FirstSeq, 1), state.LastSeq+1
	if before > 0 && before < w.end {
		w.end = before
		if w.behind, err = w.count(before); err != nil {
			return nil, err
		}
	}
	list, err := w.read()
	slices.Reverse(list)
	return list, err
}

// filter is the subjects of a topic, in whatever partition.
func (s *stream) filter(topic string, info *jetstream.StreamInfo) string {
	if topic == "" {
		return s.prefix + ".>"
	}
	if n, _ := strconv.Atoi(info.Config.Metadata[binjet.MetadataPartitions]); n > 0 {
		return s.prefix + ".*." + topic
	}
	return s.prefix + "." + topic
}

// window is a search for the last n messages of a filter before end.
type window struct {
	ctx        context.Context
	stream     jetstream.Stream
	filter     string
	n          uint64
	first, end uint64
	behind     uint64 // messages from end on
}

const (
	maxWindow = 4  // times n messages are read for n
	maxLooks  = 64 // more than it takes to halve all sequences that there are
)

// read finds a beginning behind which there are n to maxWindow·n messages, or all of
// them, and reads these.
func (w *window) read() ([]message, error) {
	if w.end <= w.first {
		return nil, nil
	}
	few, many, reach := w.end, uint64(0), 2*w.n // less than n from few on, too many from many on
	from := w.back(reach)
	for range maxLooks {
		reader, count, err := w.open(from)
		if err != nil {
			return nil, err
		}
		if count >= w.n && count <= maxWindow*w.n || count < w.n && from == w.first {
			list, err := w.fetch(reader, count)
			return list, errors.Join(err, w.drop(reader))
		}
		if err := w.drop(reader); err != nil {
			return nil, err
		}
		if count < w.n {
			few = from
		} else {
			many = from
		}
		if many > 0 {
			from = many + max((few-many)/2, 1)
			continue
		}
		reach *= 16
		from = min(w.back(reach), few-1)
	}
	return nil, errors.New("the stream changes faster than its end can be found; try again")
}

// back is a place so many sequences before the end.
func (w *window) back(reach uint64) uint64 {
	if reach >= w.end-w.first {
		return w.first
	}
	return w.end - reach
}

// count is how many messages there are from a sequence on.
func (w *window) count(from uint64) (uint64, error) {
	reader, n, err := w.open(from)
	if err != nil {
		return 0, err
	}
	return n, w.drop(reader)
}

// open makes a consumer that begins at a sequence, and says how many messages it has before end.
func (w *window) open(from uint64) (jetstream.Consumer, uint64, error) {
	reader, err := w.stream.CreateConsumer(w.ctx, jetstream.ConsumerConfig{
		Description: readerName, FilterSubject: w.filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true, MemoryStorage: true, Replicas: 1, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return nil, 0, fmt.Errorf("look into stream %s: %w", w.stream.CachedInfo().Config.Name, err)
	}
	pending := reader.CachedInfo().NumPending
	return reader, pending - min(w.behind, pending), nil
}

// drop removes a consumer; one that is left is removed by the broker soon.
func (w *window) drop(reader jetstream.Consumer) error {
	err := w.stream.DeleteConsumer(w.ctx, reader.CachedInfo().Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return err
}

// fetch returns the last n of the messages that a consumer has.
func (w *window) fetch(reader jetstream.Consumer, count uint64) ([]message, error) {
	if count == 0 {
		return nil, nil
	}
	batch, err := reader.FetchNoWait(int(count))
	if err != nil {
		return nil, err
	}
	var list []message
	for got := range batch.Messages() {
		meta, err := got.Metadata()
		if err != nil {
			return nil, err
		}
		if meta.Sequence.Stream >= w.end {
			continue
		}
		m := describe(got.Subject(), got.Headers(), meta.Sequence.Stream, meta.Timestamp)
		m.Bytes, _ = strconv.ParseUint(got.Headers().Get(nats.MsgSize), 10, 64)
		list = append(list, m)
	}
	return list[max(0, len(list)-int(w.n)):], batch.Error()
}
