package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// How messages are pulled. The broker answers a pull with messages, and every
// pullBeat with a sign of life; twice that in silence and the session is over.
const (
	pullExpires = 30 * time.Second
	pullBeat    = 5 * time.Second
	pullPause   = time.Second // after a pull that the broker refused for now
	closeWait   = 2 * time.Second
)

// feed is one durable consumer on the broker, and where its messages go in this process.
type feed interface {
	// open makes the durable consumer ready, before each session, and says on which
	// stream it is and what it is called.
	open(ctx context.Context) (stream, durable string, err error)
	// room is how many messages to ask for now: 0 until it is worth a request.
	room() int
	// freed is signalled when room may have grown.
	freed() <-chan struct{}
	// accept takes a message, also one for which there is no room. An error ends the session.
	accept(in incoming) error
	// unbroken says that a session is over when something of it may have been lost:
	// nothing that was sent and not received comes again.
	unbroken() bool
}

// incoming is a message as it came.
type incoming struct {
	raw     *nats.Msg
	meta    *nats.MsgMetadata
	stream  string
	durable string
}

// session is one subscription through which the messages of a feed are pulled. It
// pulls by the protocol itself rather than through jetstream's iterators, because those
// keep messages in a buffer that nobody keeps alive on the broker, and lose those
// that are on their way when they are stopped.
type session struct {
	*engine
	feed    feed
	stream  string
	durable string
	nc      *nats.Conn
	sub     *nats.Subscription
	msgs    chan *nats.Msg
	closed  <-chan nats.SubStatus
	inbox   string // prefix of the pulls' reply subjects
	pulls   int
	want    int // messages still to come for the running pull; 0 when none runs
	resumes time.Time
	last    uint64 // number of the last message that came, by the count of the consumer
}

// session opens one, pumps until ctx ends or something is wrong, and closes it.
func (e *engine) session(ctx context.Context, f feed) (opened bool, err error) {
	setupCtx, cancel := e.whileConnected(ctx, setupTimeout)
	stream, durable, err := f.open(setupCtx)
	cancel()
	if err != nil {
		return false, err
	}
	e.readyOnce.Do(func() {
		e.life.become(StateRunning)
		close(e.ready)
	})
	s := &session{engine: e, feed: f, stream: stream, durable: durable, nc: e.js.Conn(), msgs: make(chan *nats.Msg, 4*max(e.cfg.capacity(), pullMost)+64)}
	s.inbox = s.nc.NewInbox()
	s.sub, err = s.nc.ChanSubscribe(s.inbox+".*", s.msgs)
	if err != nil {
		return false, fmt.Errorf("subscribe: %w", err)
	}
	s.closed = s.sub.StatusChanged(nats.SubscriptionClosed)
	defer s.close()
	return true, s.pump(ctx)
}

// pump keeps one pull running while there is room, and hands on what comes.
func (s *session) pump(ctx context.Context) error {
	reconnected := s.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer s.nc.RemoveStatusListener(reconnected)
	silence := time.NewTimer(2 * pullBeat)
	defer silence.Stop()
	for {
		paused, changed := s.gate.state()
		var resume <-chan time.Time
		if !paused {
			var err error
			if resume, err = s.pull(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case m := <-s.msgs:
			silence.Reset(2 * pullBeat)
			if err := s.take(m); err != nil {
				return err
			}
		case <-changed:
		case <-s.feed.freed():
		case <-resume:
		case <-s.closed:
			return errors.New("the subscription was closed")
		case status := <-reconnected:
			if status == nats.CLOSED {
				return nats.ErrConnectionClosed
			}
			if s.feed.unbroken() {
				return errors.New("the connection was lost meanwhile")
			}
			s.want = 0 // the broker forgot the pull
			silence.Reset(2 * pullBeat)
		case <-silence.C:
			silence.Reset(2 * pullBeat)
			if s.want > 0 {
				return fmt.Errorf("the broker was silent for %s", 2*pullBeat)
			}
		}
	}
}

// pull asks for as many messages as there is room for. The channel it returns
// says when to ask again after a pause, nil when there is none.
func (s *session) pull() (<-chan time.Time, error) {
	if s.want > 0 {
		return nil, nil
	}
	room := s.feed.room()
	if room <= 0 {
		return nil, nil
	}
	if pause := time.Until(s.resumes); pause > 0 {
		return time.After(pause), nil
	}
	s.pulls++
	body, err := json.Marshal(map[string]int64{
		"batch":          int64(room),
		"expires":        pullExpires.Nanoseconds(),
		"idle_heartbeat": pullBeat.Nanoseconds(),
	})
	if err != nil {
		return nil, err
	}
	err = s.nc.PublishRequest(s.apiPrefix()+"CONSUMER.MSG.NEXT."+s.stream+"."+s.durable, s.reply(), body)
	if err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	s.want = room
	return nil, nil
}

func (s *session) reply() string { return s.inbox + "." + strconv.Itoa(s.pulls) }

// apiPrefix is where the JetStream API of js is.
func (c *Consumer) apiPrefix() string {
	opts := c.js.Options()
	switch {
	case opts.Domain != "":
		return "$JS." + opts.Domain + ".API."
	case opts.APIPrefix != "":
		if opts.APIPrefix[len(opts.APIPrefix)-1] != '.' {
			return opts.APIPrefix + "."
		}
		return opts.APIPrefix
	}
	return "$JS.API."
}

// take handles one thing that the broker sent: a message, or word about a pull.
func (s *session) take(m *nats.Msg) error {
	if m.Reply == "" {
		if m.Subject != s.reply() {
			return nil // about a pull that is over
		}
		over, err := s.status(m.Header.Get("Status"), m.Header.Get("Description"))
		if over {
			s.want = 0
		}
		return errors.Join(err, s.missed(m.Header.Get("Nats-Last-Consumer")))
	}
	if s.want > 0 {
		s.want--
	}
	return s.accept(m)
}

// missed reports that the broker has sent more than came, from what an idle
// heartbeat says.
func (s *session) missed(sent string) error {
	n, err := strconv.ParseUint(sent, 10, 64)
	if err != nil || !s.feed.unbroken() || n == s.last {
		return nil
	}
	return fmt.Errorf("%d messages were sent and %d came", n, s.last)
}

// status says what the broker's word about the running pull means: that it is
// over, or, as an error, that the session is.
func (s *session) status(code, description string) (over bool, err error) {
	switch code {
	case "100":
		return false, nil
	case "404", "408":
		return true, nil
	case "409":
		switch description {
		case "Consumer Deleted", "Leadership Change", "Server Shutdown", "Consumer is push based":
			return true, fmt.Errorf("the broker says: %s", description)
		}
		s.log.Debug("pull refused for now", slog.String("reason", description))
		s.resumes = time.Now().Add(pullPause)
		return true, nil
	case "503":
		return true, errors.New("no JetStream answers for the consumer: it was deleted, or has no leader yet")
	}
	return true, fmt.Errorf("pull refused: %s %s", code, description)
}

// accept hands a message on.
func (s *session) accept(m *nats.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		s.log.Error("a message without JetStream metadata came and was dropped", slog.String("subject", m.Subject), slog.Any("error", err))
		return nil
	}
	if n := meta.Sequence.Consumer; s.feed.unbroken() && n != s.last+1 {
		return fmt.Errorf("message %d of the session came behind %d", n, s.last)
	}
	s.last = meta.Sequence.Consumer
	return s.feed.accept(incoming{m, meta, s.stream, s.durable})
}

// decoded is the delivery of a message. Who makes it says which delivery it is.
func (e *engine) decoded(raw *nats.Msg, seq uint64, published time.Time) *delivery {
	msg, err := decode(raw, e.cfg.SubjectPrefix, e.partitioned())
	msg.Sequence, msg.Published = seq, published
	return &delivery{raw: raw, msg: msg, at: place{e.cfg.Stream, seq}, err: err}
}

// close ends the subscription so that nothing that is on its way is lost: what
// still comes is handed on, to run or to be handed back. An unbroken feed's next
// session reads it again.
func (s *session) close() {
	if s.feed.unbroken() {
		_ = s.sub.Unsubscribe()
		return
	}
	if s.nc.IsConnected() && s.sub.Drain() == nil {
		timeout := time.NewTimer(closeWait)
		defer timeout.Stop()
		select {
		case <-s.closed:
		case <-timeout.C:
		}
	}
	_ = s.sub.Unsubscribe()
	for {
		select {
		case m := <-s.msgs:
			if m.Reply != "" {
				_ = s.accept(m)
			}
		default:
			return
		}
	}
}
