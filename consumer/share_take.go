package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// rewindMargin is how much earlier than the first unfinished message's time a
// share is read again when the stream has lost its tail, for clocks that differ.
const rewindMargin = time.Minute

// shortAnswers is how often the end of the stream is asked for again before its
// tail counts as lost.
const shortAnswers = 5

// take makes the share this process's: a new epoch is written into its record if
// that is still what was read. From then on the owner before can note nothing.
func (s *share) take(at jetstream.Stream) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	ctx, cancel := s.whileConnected(s.reading, 6*setupTimeout) // many messages may have to be read
	defer cancel()
	var was shareRecord
	found, revision, err := s.bucket.load(ctx, shareKey(s.number), &was)
	if err != nil {
		return err
	}
	if err := s.mine(found, was, revision); err != nil {
		return err
	}
	pos, anew, err := s.begins(ctx, at.CachedInfo(), found, was)
	if err != nil {
		return err
	}
	var open []*item
	if anew {
		if open, err = s.carry(&pos); err != nil {
			return err
		}
	}
	next := was.taken(s.group.me, s.owned || s.nothingRan(ctx, at, was), pos)
	next.Stream = at.CachedInfo().Created
	next.Reader = next.readerName(s.cfg.Name, s.number, int(s.partitions.Load()))
	if revision, err = s.swap(ctx, next, revision); err != nil {
		return err
	}
	s.log.Debug("a share was taken", slog.Int("share", s.number), slog.Uint64("epoch", next.Epoch),
		slog.Uint64("cut", pos.Cut), slog.Int("open", len(open)), slog.String("before", was.Owner))
	if anew {
		s.lanes.restart(s, pos, open)
	}
	if !s.owned {
		s.beCareful(next)
	}
	s.owned, s.record, s.revision = true, next, revision
	s.epoch.Store(next.Epoch)
	if was.Reader != "" { // who still reads it learns that it is over
		s.dropReader(was.Reader)
	}
	return nil
}

// mine reports why the share can't be this process's now.
func (s *share) mine(found bool, was shareRecord, revision uint64) error {
	if err := checkVersion(was.V); err != nil {
		s.group.fail(err)
		return fmt.Errorf("%w: %w", errOver, err)
	}
	if s.owned {
		if !found || was.Nonce != s.record.Nonce {
			s.disown()
			s.lose(fmt.Errorf("its record is of epoch %d, ours was %d", was.Epoch, s.record.Epoch))
			return fmt.Errorf("%w: %w", errOver, errLost)
		}
		return nil
	}
	if was.Owner != "" && was.Owner != s.group.me && s.group.holds(was.Owner, s.number, revision) {
		return fmt.Errorf("%w: %s has it", errOver, was.Owner)
	}
	return nil
}

// begins says from where to work on. anew means that what this process holds of
// the share, if anything, is to be dropped.
func (s *share) begins(ctx context.Context, info *jetstream.StreamInfo, found bool, was shareRecord) (pos position, anew bool, err error) {
	anew = !s.owned
	check, checkTime := was.Cut, was.CutTime
	switch {
	case s.owned:
		s.lanes.mu.Lock()
		pos = s.progress.position()
		check, checkTime = s.progress.high, s.progress.highTime
		s.lanes.mu.Unlock()
	case !found:
		return s.group.begin(), true, nil
	case !was.Stream.Equal(info.Created):
		s.log.Warn("the stream was made anew; the share begins where the consumer does", slog.Int("share", s.number))
		return s.group.begin(), true, nil
	default:
		pos = was.position
	}
	lost, err := s.lostTail(ctx, info, check, checkTime)
	if err != nil {
		return pos, anew, err
	}
	if lost {
		pos = pos.rewound(rewindMargin)
		s.log.Warn("the stream has lost its newest messages, some of which this consumer had received; it reads again what was stored since",
			slog.Int("share", s.number), slog.Uint64("sequence", check), slog.Time("from", pos.From))
		return pos, true, nil
	}
	return pos, anew, nil
}

// lostTail reports whether the stream has lost a message that was received, and
// counts its number again. A message that expired proves nothing.
func (s *share) lostTail(ctx context.Context, info *jetstream.StreamInfo, seq uint64, published time.Time) (bool, error) {
	if published.IsZero() {
		return false, nil
	}
	m, err := getMessage(ctx, s.js.Conn(), s.apiPrefix(), s.cfg.Stream, map[string]any{"seq": seq})
	switch {
	case err == nil:
		s.short = 0
		return !m.Time.Equal(published), nil
	case !errors.Is(err, errNoMessage):
		return false, fmt.Errorf("look at message %d: %w", seq, err)
	case seq <= info.State.LastSeq:
		return false, nil
	}
	if s.short++; s.short <= shortAnswers { // or the leader that answered is cut off, and knows less
		return false, fmt.Errorf("the stream ends at %d, before message %d that was received; asking again", info.State.LastSeq, seq)
	}
	return true, nil
}

// carry reads the open messages of a position. Those that the stream no longer
// holds are left out of it.
func (s *share) carry(pos *position) ([]*item, error) {
	var items []*item
	for _, seq := range pos.open() {
		raw, published, err := s.fetch(seq, time.Time{})
		if errors.Is(err, errGone) {
			s.log.Warn("a message was removed from the stream before its turn came", slog.Uint64("sequence", seq), slog.Any("error", err))
			continue
		}
		if err != nil {
			return nil, err
		}
		items = append(items, &item{share: s, seq: seq, published: published, raw: raw, size: raw.Size()})
	}
	return items, nil
}

// nothingRan reports whether the owner before had nothing that could have killed it.
func (s *share) nothingRan(ctx context.Context, at jetstream.Stream, was shareRecord) bool {
	if was.Owner == "" || was.Reader == "" || len(was.Open) > 0 {
		return false
	}
	reader, err := at.Consumer(ctx, was.Reader)
	return err == nil && reader.CachedInfo().Delivered.Stream <= was.Cut
}

// beCareful has the next attempts noted before they are made when the owners
// before died again and again: at most so many messages were under way.
func (s *share) beCareful(r shareRecord) {
	if !r.careful() {
		return
	}
	s.log.Warn("the owners of a share died one after another; its messages run one at a time for now",
		slog.Int("share", s.number), slog.Int("deaths", r.Crashes), slog.Uint64("first_unfinished", r.Base))
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	s.care = s.cfg.MaxAckPending
}
