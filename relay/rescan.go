package relay

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/pause"
)

const (
	// windowIDs bounds how many IDs of the stream are held at a time (some 50 MB).
	windowIDs = 500_000
	// A row that is older than the oldest event that is kept, by at least clockSkew
	// between database and broker, may have been published and let go.
	clockSkew = time.Minute
	// A row whose transaction was open for longer than that is not taken for one
	// that was committed, and published, soon after it was inserted.
	longestTransaction = 24 * time.Hour
)

// rescan tells which rows of the outbox tables the stream lacks, where binlogs
// were purged before they were read. It looks at the stream up to our take-over,
// behind which there is nothing of ours but what this rescan publishes, in the
// order of the IDs and so never twice.
//
// A stream that has let go none of our events tells it exactly: it holds as many
// as the checkpoint counts. Of one that has, the row's age decides: one that is
// younger than the oldest event kept was not let go, and one that is younger than
// the last checkpoint not published; one from long before the last transaction that
// was read was published. Where none of it is so, an operator has to decide, by
// Config.PublishedBefore.
type rescan struct {
	js     jetstream.JetStream
	stream string
	source string
	log    *slog.Logger
	before time.Time // Config.PublishedBefore
	// stopped is when the checkpoint was written that we took over from.
	stopped time.Time
	held    store.Held
	limit   int

	window                        window
	began                         time.Time // zero before the first row
	known, absent, taken, expired uint64
}

// window is what one reading of the stream told.
type window struct {
	ids    map[string]struct{} // from..upto
	from   string
	upto   string // with all: there are no more
	all    bool
	kept   uint64    // events of ours that were published when the checkpoint counted
	strays int       // events of ours behind that
	oldest time.Time // when the first of ours was stored; zero for none
	read   bool
}

func (w *window) covers(id string) bool {
	return w.read && id >= w.from && (w.all || id <= w.upto)
}

func (r *Relay) newRescan(held store.Held) *rescan {
	return &rescan{js: r.js, stream: r.cfg.Stream, source: r.cfg.Name, log: r.log, before: r.cfg.PublishedBefore,
		stopped: r.replaced, held: held, limit: windowIDs}
}

// missing returns tx with only those of its rows that are to be published, and
// how many events the stream holds that the checkpoint does not count yet.
func (s *rescan) missing(ctx context.Context, tx *checkpoint.Transaction) (*checkpoint.Transaction, int, error) {
	strays := 0
	if s.began.IsZero() {
		s.began = time.Now()
		if err := s.look(ctx, ""); err != nil {
			return nil, 0, err
		}
		strays = s.window.strays
		s.log.Warn("rescan: publishing rows of the outbox tables that the stream lacks", slog.Uint64("published", s.held.Count),
			slog.Uint64("kept", s.window.kept), slog.String("lost", tx.Snapshot.Rescan.Lost.String()))
	}
	present, err := s.present(ctx, tx.Messages)
	if err != nil {
		return nil, 0, err
	}
	part := s.noted(tx)
	for i := range tx.Messages {
		m := tx.Messages[i]
		publish, err := s.decide(&m, present[m.ID], tx.Snapshot)
		if err != nil {
			return nil, 0, err
		}
		if !publish {
			continue
		}
		if m.CreatedAt.IsZero() {
			m.CreatedAt = time.Now().UTC()
		}
		if n := slices.IndexFunc(tx.Invalid, func(bad checkpoint.Invalid) bool { return bad.Index == i }); n >= 0 {
			bad := tx.Invalid[n]
			bad.Index = len(part.Messages)
			part.Invalid = append(part.Invalid, bad)
		}
		part.Messages = append(part.Messages, m)
	}
	if tx.End {
		s.log.Warn("rescan: done", slog.Uint64("published", s.absent), slog.Uint64("in_stream", s.known), slog.Uint64("let_go_by_stream", s.taken),
			slog.Uint64("expired", s.expired), slog.Duration("took", time.Since(s.began)))
	}
	return part, strays, nil
}

// noted returns tx without rows, whose progress holds since when nothing was
// published: whoever goes on with the rescan replaces another checkpoint.
func (s *rescan) noted(tx *checkpoint.Transaction) *checkpoint.Transaction {
	part, progress, why := *tx, *tx.Snapshot, *tx.Snapshot.Rescan
	if why.Stopped.IsZero() {
		why.Stopped = s.stopped
	}
	s.stopped = why.Stopped
	progress.Rescan = &why
	part.Snapshot, part.Messages, part.Invalid = &progress, nil, nil
	return &part
}

// decide says whether a row is to be published.
func (s *rescan) decide(m *binjet.Message, present bool, progress *checkpoint.Snapshot) (bool, error) {
	w, read := &s.window, progress.Rescan.Read
	switch {
	case present:
		s.known++
		return false, nil
	case w.kept >= s.held.Count: // none was let go
	case m.CreatedAt.IsZero():
		return false, s.undecidable(m, progress)
	case m.ExpireAfter > 0 && time.Until(m.CreatedAt.Add(m.ExpireAfter)) < 0: // it would be gone either way
		s.expired++
		return false, nil
	case m.CreatedAt.Before(s.before),
		!read.IsZero() && m.CreatedAt.Before(read.Add(-longestTransaction)):
		s.taken++
		return false, nil
	case !w.oldest.IsZero() && m.CreatedAt.After(w.oldest.Add(clockSkew)):
	case !s.stopped.IsZero() && m.CreatedAt.After(s.stopped.Add(clockSkew)):
	default:
		return false, s.undecidable(m, progress)
	}
	s.absent++
	return true, nil
}

func (s *rescan) undecidable(m *binjet.Message, progress *checkpoint.Snapshot) error {
	created := "of unknown age"
	if !m.CreatedAt.IsZero() {
		created = "inserted at " + m.CreatedAt.Format(time.RFC3339)
	}
	since := "it keeps none of them"
	if !s.window.oldest.IsZero() {
		since = "the oldest it keeps was stored at " + s.window.oldest.UTC().Format(time.RFC3339)
	}
	return &checkpoint.HaltError{
		Problem: fmt.Sprintf("row %q of table %s, %s, is not in stream %s, which has let go %d of the %d events of source %s (%s): whether the row was published can't be told",
			m.ID, progress.Table, created, s.stream, s.held.Count-s.window.kept, s.held.Count, s.source, since),
		Hint: "If all rows that were inserted before some point in time are known to be published, run once with --published-before=<that time, such as 2026-01-31T12:00:00Z>; " +
			"the binlogs were last read up to " + readUpTo(progress.Rescan.Read) + ". Or delete the rows that need not be published. The rescan goes on where it is",
	}
}

func readUpTo(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}

// present tells which of the messages the stream holds.
func (s *rescan) present(ctx context.Context, list []binjet.Message) (map[string]bool, error) {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	slices.Sort(ids)
	found := make(map[string]bool)
	for _, id := range ids {
		if !s.window.covers(id) {
			if err := s.look(ctx, id); err != nil {
				return nil, err
			}
		}
		if _, ok := s.window.ids[id]; ok {
			found[id] = true
		}
	}
	return found, nil
}

// look reads the stream until that succeeds, for the smallest IDs from an ID on.
func (s *rescan) look(ctx context.Context, from string) error {
	for try := 0; ; try++ {
		began := time.Now()
		w, err := s.readStream(ctx, from)
		if err == nil {
			s.window = *w
			s.log.Info("rescan: the stream was read", slog.Uint64("events", w.kept+uint64(w.strays)), slog.String("from_id", from), slog.Duration("took", time.Since(began)))
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.Warn("rescan: can't read the stream; trying again", slog.Any("error", err))
		if err := pause.For(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// readStream has read all when our take-over, or something behind it, comes: a
// replica that lags ends earlier, and is waited for.
func (s *rescan) readStream(ctx context.Context, from string) (*window, error) {
	c, err := s.js.OrderedConsumer(ctx, s.stream, jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", s.stream, err)
	}
	messages, err := c.Messages()
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", s.stream, err)
	}
	defer messages.Stop()
	w := &window{from: from, all: true, read: true, ids: make(map[string]struct{})}
	trueAt := s.held.TrueAt(s.held.Seq)
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", s.stream, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		at := meta.Sequence.Stream
		if at < s.held.Seq && msg.Headers().Get(binjet.HeaderSource) == s.source {
			w.add(strings.Clone(msg.Headers().Get(binjet.HeaderID)), at > trueAt, meta.Timestamp, s.limit)
		}
		if at >= s.held.Seq {
			return w, nil
		}
	}
}

// add counts an event and keeps its ID if it is one of the smallest.
func (w *window) add(id string, stray bool, at time.Time, limit int) {
	if stray {
		w.strays++
	} else {
		w.kept++
	}
	if w.oldest.IsZero() {
		w.oldest = at
	}
	if id < w.from || !w.all && id > w.upto {
		return
	}
	w.ids[id] = struct{}{}
	if len(w.ids) >= 2*limit {
		w.halve(limit)
	}
}

// halve keeps the smallest IDs.
func (w *window) halve(limit int) {
	ids := make([]string, 0, len(w.ids))
	for id := range w.ids {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids[limit:] {
		delete(w.ids, id)
	}
	w.upto, w.all = ids[limit-1], false
}
