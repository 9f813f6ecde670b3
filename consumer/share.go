package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/runenv"
)

const (
	// pullMost is how many messages of a share are asked for at once.
	pullMost = 256
	// saveEvery is how soon a share's progress is written again: what was finished
	// meanwhile is delivered again after a kill.
	saveEvery = 100 * time.Millisecond
	// readerLifetime is when the broker drops a reader that nobody uses any more.
	readerLifetime = time.Hour
)

var (
	// errOver ends a feed that is not this process's to read.
	errOver = errors.New("the share is not this process's")
	// errLost is the cause of the contexts of handlers whose share has another owner.
	errLost = errors.New("another process has taken over the share")
)

// share is one partition of the stream, or all of it where it has none, while
// this process has it or tries to get it. It is used once.
//
// It is read through a consumer on the broker that is made anew for each session,
// without acknowledgements: nothing comes twice through it, and if anything that it
// sent was lost, the session ends and the next one reads on behind what was
// received. What is finished stands in the share's record alone.
type share struct {
	*engine
	lanes  *lanes
	bucket *bucket
	group  *group
	number int

	reading    context.Context
	stop       context.CancelCauseFunc // ends reading
	work       context.Context         // of its handlers
	cancelWork context.CancelCauseFunc
	roomier    chan struct{} // has room for one: "there may be room"
	dirty      chan struct{} // has room for one: "there is progress to write"
	idle       chan struct{} // closed by lanes when it is withdrawn and nothing runs
	epoch      atomic.Uint64 // of its record while it is this process's; else 0

	// Guarded by lanes.mu.
	progress *progress
	byKey    map[string]*lane
	held     []*item // ready, but one runs and care has them wait
	count    int     // items
	ready    int     // of them
	running  int     // of them, or withdrawn
	care     int     // attempts still to be noted before they are made
	gone     bool

	writing  sync.Mutex // guards the rest, and orders the writes
	owned    bool
	record   shareRecord
	revision uint64
	short    int // answers of a stream that ends too early
}

func (g *group) newShare(ctx context.Context, number int) *share {
	s := &share{
		engine: g.engine, lanes: g.lanes, bucket: g.bucket, group: g, number: number,
		roomier: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		idle: make(chan struct{}),
	}
	s.reading, s.stop = context.WithCancelCause(ctx)
	env := runenv.From(g.work)
	env.Stopping = s.reading.Done()
	s.work, s.cancelWork = context.WithCancelCause(runenv.With(g.work, env))
	return s
}

// run reads the share until it is to be given up, lets what runs come to its end,
// and gives it up.
func (s *share) run() {
	defer s.cancelWork(nil)
	var keeper sync.WaitGroup
	over := make(chan struct{})
	keeper.Go(func() { s.keep(over) })
	err := s.follow(s.reading, s)
	s.stop(nil)
	s.lanes.withdraw(s)
	s.settleDown()
	close(over)
	keeper.Wait()
	s.release()
	if err != nil && !errors.Is(err, errOver) {
		s.group.fail(err)
	}
}

// settleDown waits until no handler runs, and cancels those that take too long.
func (s *share) settleDown() {
	timeout := time.NewTimer(s.cfg.DrainTimeout)
	defer timeout.Stop()
	select {
	case <-s.idle:
		return
	case <-timeout.C:
	}
	s.log.Warn("handlers of a share that is to be given up are still running; cancelling them",
		slog.Int("share", s.number), slog.Duration("drain_timeout", s.cfg.DrainTimeout))
	s.cancelWork(ErrDrainTimeout)
	<-s.idle
}

// lose ends the share because another process has it.
func (s *share) lose(why error) {
	if errors.Is(context.Cause(s.reading), errLost) {
		return // and was said
	}
	s.stop(errLost)
	s.cancelWork(errLost)
	s.log.Warn("a share was taken over by another process", slog.Int("share", s.number), slog.Any("why", why))
}

// open implements feed: it makes the share this process's, in a new epoch, and
// makes a reader behind what was received.
func (s *share) open(ctx context.Context) (stream, reader string, err error) {
	leave, err := s.group.turn(ctx)
	if err != nil {
		return "", "", err
	}
	defer leave()
	at, err := s.engine.stream(ctx)
	if err != nil {
		return "", "", unlasting(err)
	}
	if err := s.group.sameStream(at.CachedInfo()); err != nil {
		s.group.renew(err)
		return "", "", fmt.Errorf("%w: %w", errOver, err)
	}
	topics, err := s.group.topics(ctx)
	if err != nil {
		return "", "", unlasting(err)
	}
	if err := s.take(at); err != nil {
		return "", "", unlasting(err)
	}
	if _, err := at.CreateConsumer(ctx, s.reader(topics)); err != nil {
		return "", "", unlasting(fmt.Errorf("create the reader of share %d: %w", s.number, err))
	}
	s.group.shareChanged()
	return s.cfg.Stream, s.record.Reader, nil
}

// unlasting hides that an error would end Run when it is met at the start.
func unlasting(err error) error {
	if errors.Is(err, errOver) || errors.Is(err, nats.ErrConnectionClosed) {
		return err
	}
	return errors.New(err.Error())
}

// reader is the consumer through which this epoch reads.
func (s *share) reader(topics []string) jetstream.ConsumerConfig {
	s.lanes.mu.Lock()
	high, from := s.progress.high, s.progress.from
	s.lanes.mu.Unlock()
	cfg := jetstream.ConsumerConfig{
		Name:              s.record.Reader,
		Description:       "binjet: share " + fmt.Sprint(s.number) + " of the ordered consumer " + s.cfg.Name,
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       high + 1,
		FilterSubjects:    shareFilters(s.cfg.SubjectPrefix, s.number, int(s.partitions.Load()), topics),
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: readerLifetime,
		Metadata: map[string]string{
			"binjet.consumer": s.cfg.Name,
			"binjet.share":    fmt.Sprint(s.number),
			"binjet.epoch":    fmt.Sprint(s.record.Epoch),
			"binjet.owner":    s.group.me,
		},
	}
	if high == 0 && !from.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &from
	}
	return cfg
}

// room implements feed. It asks for more when few messages could run, and else
// only for many at once.
func (s *share) room() int {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	free := s.cfg.MaxAckPending - s.count
	few := s.ready < s.cfg.capacity()
	if !few && (free < min(s.cfg.MaxAckPending/4, pullMost) || s.lanes.bytes >= s.cfg.MaxBytes) {
		return 0
	}
	return min(free, pullMost)
}

func (s *share) freed() <-chan struct{} { return s.roomier }

// unbroken implements feed: what was sent and not received would be overtaken.
func (s *share) unbroken() bool { return true }

// accept implements feed.
func (s *share) accept(in incoming) error {
	it := &item{share: s, seq: in.meta.Sequence.Stream, published: in.meta.Timestamp, raw: in.raw, size: in.raw.Size()}
	if !s.lanes.receive(it, in.raw.Header.Get(binjet.HeaderKey)) {
		return fmt.Errorf("message %d was read behind a later one: the stream has lost its newest messages and counts again", it.seq)
	}
	return nil
}
