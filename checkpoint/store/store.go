package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// ErrNotFound says that the stream's leader knows no such message. Together with
// an answer that may be stale it proves nothing: only a compare-and-set does.
var ErrNotFound = errors.New("no such message in the stream")

const codeNotFound = 10037 // JSNoMessageFoundErr

// Store reads the checkpoint of one source from one stream. It is safe for
// concurrent use and keeps no state.
type Store struct {
	nc             *nats.Conn
	stream, source string
	apiPrefix      string
}

// New returns a Store. It asks the broker nothing.
func New(nc *nats.Conn, stream, source string) *Store {
	return &Store{nc: nc, stream: stream, source: source, apiPrefix: "$JS.API."}
}

// Held is a checkpoint and where the stream holds it.
type Held struct {
	checkpoint.Checkpoint
	Seq uint64
	// Connection is [Store.Connection] of before it was read. What was read on an
	// earlier connection says nothing about the broker of now: one that lost its tail
	// may have given Seq to another checkpoint.
	Connection uint64
}

// Message is one message of the stream as its leader gave it.
type Message struct {
	Subject string
	Seq     uint64
	Header  nats.Header
	Data    []byte
	Time    time.Time
}

// Subject is the source's checkpoint subject.
func (s *Store) Subject() string { return binjet.CheckpointSubject(s.source) }

// Load returns the checkpoint that the stream's leader holds: [ErrNotFound] when
// it holds none, [checkpoint.ErrNewer] or a decoding error when it can't be used.
func (s *Store) Load(ctx context.Context) (Held, error) {
	connection := s.Connection()
	msg, err := s.get(ctx, map[string]any{"last_by_subj": s.Subject()})
	if err != nil {
		return Held{}, fmt.Errorf("read checkpoint of source %s in stream %s: %w", s.source, s.stream, err)
	}
	c, err := checkpoint.Decode(msg.Data)
	if err != nil {
		return Held{}, &DecodeError{Seq: msg.Seq, Err: fmt.Errorf("message %d of stream %s: %w", msg.Seq, s.stream, err)}
	}
	return Held{Checkpoint: c, Seq: msg.Seq, Connection: connection}, nil
}

// Connection is the number of the client's connection to the broker: it grows with
// each reconnect.
func (s *Store) Connection() uint64 { return s.nc.Stats().Reconnects }

// DecodeError says that a message lies on the checkpoint subject that is no
// checkpoint this version can use. Trying again does not help.
type DecodeError struct {
	Seq uint64
	Err error
}

func (e *DecodeError) Error() string { return e.Err.Error() }

// Unwrap returns what was wrong.
func (e *DecodeError) Unwrap() error { return e.Err }

// Last returns the newest message on subject, which may hold wildcards:
// [ErrNotFound] when the leader knows none.
func (s *Store) Last(ctx context.Context, subject string) (Message, error) {
	msg, err := s.get(ctx, map[string]any{"last_by_subj": subject})
	if err != nil {
		return Message{}, fmt.Errorf("read the last message on %s of stream %s: %w", subject, s.stream, err)
	}
	return msg, nil
}

// Next returns the first message of the stream at or behind seq, of any subject:
// [ErrNotFound] when the leader knows none.
func (s *Store) Next(ctx context.Context, seq uint64) (Message, error) {
	msg, err := s.get(ctx, map[string]any{"seq": seq, "next_by_subj": ">"})
	if err != nil {
		return Message{}, fmt.Errorf("read stream %s from sequence %d: %w", s.stream, seq, err)
	}
	return msg, nil
}

func (s *Store) get(ctx context.Context, query map[string]any) (Message, error) {
	var answer struct {
		Error *struct {
			Code        int    `json:"code"`
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := s.request(ctx, "STREAM.MSG.GET."+s.stream, query, &answer); err != nil {
		return Message{}, err
	}
	switch e := answer.Error; {
	case e != nil && e.ErrCode == codeNotFound:
		return Message{}, ErrNotFound
	case e != nil:
		return Message{}, fmt.Errorf("%s (code %d)", e.Description, e.ErrCode)
	case answer.Message == nil:
		return Message{}, errors.New("the broker's answer holds no message")
	}
	m := answer.Message
	msg := Message{Subject: m.Subject, Seq: m.Seq, Data: m.Data, Time: m.Time}
	if len(m.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(m.Header)
		if err != nil {
			return Message{}, fmt.Errorf("headers of message %d: %w", m.Seq, err)
		}
		msg.Header = h
	}
	return msg, nil
}

// State is what the stream's leader says of the stream as a whole.
type State struct {
	Created           time.Time
	FirstSeq, LastSeq uint64
	Messages          uint64
}

// State asks the stream's leader.
func (s *Store) State(ctx context.Context) (State, error) {
	var answer struct {
		Error *struct {
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Created time.Time `json:"created"`
		State   struct {
			Messages uint64 `json:"messages"`
			FirstSeq uint64 `json:"first_seq"`
			LastSeq  uint64 `json:"last_seq"`
		} `json:"state"`
	}
	if err := s.request(ctx, "STREAM.INFO."+s.stream, nil, &answer); err != nil {
		return State{}, fmt.Errorf("ask for the state of stream %s: %w", s.stream, err)
	}
	if e := answer.Error; e != nil {
		return State{}, fmt.Errorf("ask for the state of stream %s: %s (code %d)", s.stream, e.Description, e.ErrCode)
	}
	return State{Created: answer.Created, Messages: answer.State.Messages,
		FirstSeq: answer.State.FirstSeq, LastSeq: answer.State.LastSeq}, nil
}

func (s *Store) request(ctx context.Context, api string, query, answer any) error {
	var body []byte
	if query != nil {
		var err error
		if body, err = json.Marshal(query); err != nil {
			return err
		}
	}
	reply, err := s.nc.RequestWithContext(ctx, s.apiPrefix+api, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(reply.Data, answer)
}
