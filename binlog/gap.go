package binlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/binjet/binjet/checkpoint"
)

// missing is what the server no longer has of what follows p. For MariaDB it
// names the last transaction of each domain.
func (r *Reader) missing(ctx context.Context, srv *Server, p checkpoint.Position) (checkpoint.GTIDSet, error) {
	oldest, err := r.oldest(ctx, srv)
	if err != nil {
		return oldest, err
	}
	return oldest.Minus(p.Resume), nil
}

// purged is the halt for a gap; nil when nothing is missing, or exactly what was
// given up, or the tables are read for it.
func (r *Reader) purged(missing checkpoint.GTIDSet, p checkpoint.Position) error {
	if missing.IsEmpty() || r.isAccepted(missing) || r.rescans(missing) {
		return nil
	}
	what := missing.String()
	if missing.Flavor() == checkpoint.MariaDB {
		what = "all up to " + what
	}
	otherwise := ""
	if !r.cfg.AcceptLoss.IsEmpty() {
		otherwise = fmt.Sprintf(" (the loss of %s was accepted, which is not the same)", r.cfg.AcceptLoss)
	}
	return halt(ErrPurged, hintGap(missing), "the server at %s no longer has %s, which follows the position %q%s", r.cfg.Addr, what, p.Resume, otherwise)
}

// hintGap names the choices that there are for a gap.
func hintGap(missing checkpoint.GTIDSet) string {
	return "Where the outbox tables keep their rows, set source.on_gap to rescan, which publishes those that the stream lacks. Else " +
		"compare the rows with the stream by Outbox-Id and publish by hand what is missing; then run once with --accept-loss='" +
		missing.String() + "', which goes on without these transactions, or " + goOnWithout +
		". Or read a replica that still has them: correct the address. Keep binlogs longer than the longest downtime (binlog_expire_logs_seconds)"
}

func (r *Reader) isAccepted(missing checkpoint.GTIDSet) bool {
	return !missing.IsEmpty() && missing.Equal(r.cfg.AcceptLoss)
}

// rescans: the outbox tables are read for what is missing. A loss that was
// accepted is another decision, and an older position of an operator's.
func (r *Reader) rescans(missing checkpoint.GTIDSet) bool {
	return r.cfg.OnGap == RescanOnGap && r.cfg.AcceptLoss.IsEmpty() && !missing.IsEmpty()
}

// mendGap notes that a rescan is due, if there is a gap. What was yielded already
// may not be stored yet, and the relay can look only into what is: then the stream
// has to begin again.
func (s *stream) mendGap(ctx context.Context) error {
	s.rescan = nil
	if s.cfg.OnGap != RescanOnGap || unread(s.at) {
		return nil
	}
	missing, gap, err := s.lost(ctx)
	switch {
	case err != nil:
		return err
	case !gap:
		return s.gap // of an earlier connection; nil mostly
	case s.yielded:
		return checkpoint.ErrRestart
	}
	s.gap = nil
	s.rescan = newRescan(missing, s.at)
	s.log.Error("binlogs are purged that were not read: looking through the outbox tables for rows that the stream lacks; "+
		"rows that were deleted since can't be found", "lost", missing.String(), "position", s.at.Where(), "read_up_to", s.rescan.Read)
	return nil
}

// lost is what can't be read any more and may be looked for in the tables. Without
// GTIDs it has no name: gap says that there is something.
func (s *stream) lost(ctx context.Context) (missing checkpoint.GTIDSet, gap bool, err error) {
	if s.at.Binlog.IsZero() {
		missing, err = s.missing(ctx, s.srv, s.at)
		return missing, s.rescans(missing), err
	}
	logs, err := s.logFiles(ctx)
	return missing, err == nil && s.rescansFiles() && isPurged(logs, s.at.Binlog), err
}

// rescansFiles is rescans where a file is purged.
func (r *Reader) rescansFiles() bool { return r.cfg.OnGap == RescanOnGap && r.cfg.AcceptLoss.IsEmpty() }

// noteGap lets the next connection find out what is missing, and mend it. When
// that finds nothing, the server's own word stands.
func (s *stream) noteGap(err error) error {
	if s.cfg.OnGap != RescanOnGap || !s.cfg.AcceptLoss.IsEmpty() || s.gap != nil || !errors.Is(err, ErrPurged) {
		return err
	}
	s.gap = err
	return errAgain
}

// newRescan notes when the last transaction before the gap was committed, or before
// an earlier one that is not mended yet.
func newRescan(missing checkpoint.GTIDSet, p checkpoint.Position) *checkpoint.Rescan {
	r := &checkpoint.Rescan{Lost: missing}
	switch {
	case p.Snapshot != nil && p.Snapshot.Rescan != nil:
		r.Read, r.Stopped = p.Snapshot.Rescan.Read, p.Snapshot.Rescan.Stopped
	case p.Snapshot != nil:
	case p.Read != nil:
		r.Read = p.Read.Committed
	case p.Last != nil:
		r.Read = p.Last.Committed
	}
	return r
}

// acceptLoss moves the position past a gap that was given up.
func (s *stream) acceptLoss(ctx context.Context) error {
	if s.cfg.AcceptLoss.IsEmpty() || s.at.Snapshot != nil || !s.at.Binlog.IsZero() {
		return nil
	}
	missing, err := s.missing(ctx, s.srv, s.at)
	if err != nil {
		return err
	}
	if !s.isAccepted(missing) {
		return s.purged(missing, s.at)
	}
	s.log.Error("transactions are lost for good, as accepted: going on behind them; their events were not published",
		"lost", missing.String(), "position", s.at.Resume.String(), "next", "leave the acceptance out of the next start")
	return s.emit(&checkpoint.Transaction{Lost: missing})
}
