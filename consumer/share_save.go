package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// releaseTries is how often a share is tried to be given up in good order.
const releaseTries = 3

var (
	// errOtherWriter says that the record is no longer as its writer left it.
	errOtherWriter = errors.New("another process wrote the record")
	// errGone says that a message is no longer on the stream.
	errGone = errors.New("it is no longer on the stream")
)

// touch says that there is progress to write.
func (s *share) touch() { signal(s.dirty) }

// keep writes the share's progress soon after it was made, until over.
func (s *share) keep(over <-chan struct{}) {
	for {
		select {
		case <-s.dirty:
		case <-over:
			return
		}
		wait := saveEvery
		if err := s.save(); err != nil && !errors.Is(err, errOver) {
			s.log.Warn("could not note a share's progress", slog.Int("share", s.number), slog.Any("error", err))
			wait = s.cfg.Heartbeat
			s.touch()
		}
		select {
		case <-time.After(wait):
		case <-over:
			return
		}
	}
}

// save writes the share's progress now. The error is errOver when the share has
// another owner.
func (s *share) save() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.write(func(*shareRecord) {})
}

// write is called with writing held.
func (s *share) write(change func(*shareRecord)) error {
	if !s.owned {
		return errOver
	}
	s.record.Write++
	next := s.record
	s.lanes.mu.Lock()
	next.position = s.progress.position()
	s.lanes.mu.Unlock()
	next.At = time.Now().UTC()
	change(&next)
	ctx, cancel := s.whileConnected(context.WithoutCancel(s.work), bucketTimeout)
	defer cancel()
	revision, err := s.swap(ctx, next, s.revision)
	if revision > 0 {
		s.revision = revision
	}
	if errors.Is(err, errOtherWriter) {
		s.disown()
		s.lose(err)
		return fmt.Errorf("%w: %w", errOver, errLost)
	}
	return err
}

// swap writes the record as it is to be if it still is as it was. A write whose
// answer was lost is recognised by what the bucket holds. A revision beside an
// error is that of an older write of the same epoch.
func (s *share) swap(ctx context.Context, next shareRecord, revision uint64) (uint64, error) {
	written, err := s.bucket.swap(ctx, shareKey(s.number), next, revision)
	if err == nil {
		return written, nil
	}
	var now shareRecord
	_, current, loadErr := s.bucket.load(ctx, shareKey(s.number), &now)
	switch {
	case loadErr != nil:
		return 0, err
	case now.Nonce != next.Nonce:
		return 0, fmt.Errorf("%w: %w", errOtherWriter, err)
	case now.Write < next.Write:
		return current, err
	}
	return current, nil
}

// release gives the share up in good order: the next owner need not wait, and
// begins exactly where this one ended.
func (s *share) release() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if !s.owned {
		return
	}
	if !s.js.Conn().IsConnected() {
		s.log.Warn("a share can't be given up without a connection; another process takes it over when it misses this one's heartbeats",
			slog.Int("share", s.number))
		return
	}
	s.dropReader(s.record.Reader)
	var err error
	for range releaseTries {
		if err = s.write(func(r *shareRecord) { r.Owner, r.Crashes = "", 0 }); err == nil || !s.owned {
			break
		}
	}
	if err != nil && s.owned {
		s.log.Warn("a share could not be given up; another process takes it over when it misses this one's heartbeats",
			slog.Int("share", s.number), slog.Any("error", err))
		return
	}
	s.disown()
	s.group.shareChanged()
}

// disown is called with writing held.
func (s *share) disown() {
	s.owned = false
	s.epoch.Store(0)
}

// dropReader deletes an epoch's consumer, whose next owner would do so too.
func (s *share) dropReader(name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.work), leaveTimeout)
	defer cancel()
	if err := s.js.DeleteConsumer(ctx, s.cfg.Stream, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.log.Debug("could not delete a reader", slog.String("reader", name), slog.Any("error", err))
	}
}

// fetch reads one message of the stream by its number. published tells it from
// another with the same number; zero is any. The error is errGone when it is not there.
func (s *share) fetch(seq uint64, published time.Time) (*nats.Msg, time.Time, error) {
	ctx, cancel := s.whileConnected(s.work, bucketTimeout)
	defer cancel()
	m, err := getMessage(ctx, s.js.Conn(), s.apiPrefix(), s.cfg.Stream, map[string]any{"seq": seq})
	if errors.Is(err, errNoMessage) {
		return nil, published, s.missing(ctx, seq)
	}
	if err != nil {
		return nil, published, fmt.Errorf("read message %d by its number: %w", seq, err)
	}
	if !published.IsZero() && !m.Time.Equal(published) {
		return nil, published, fmt.Errorf("%w: the stream has lost it and counts again", errGone)
	}
	return &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}, m.Time, nil
}

// missing tells a message that is gone from one that the leader does not know yet.
func (s *share) missing(ctx context.Context, seq uint64) error {
	at, err := s.js.Stream(ctx, s.cfg.Stream)
	if err != nil {
		return err
	}
	if last := at.CachedInfo().State.LastSeq; last < seq {
		return fmt.Errorf("the stream ends at %d and should hold message %d", last, seq)
	}
	return errGone
}
