package admin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/relay"
)

// How often a leader asks. MariaDB writes a line into its log for each dump, which
// the oldest binlog takes; nobody needs that age by the minute.
const (
	surveyEvery = 30 * time.Second
	oldestEvery = 15 * time.Minute
	surveyLimit = 10 * time.Second // for an answer
)

// What is asked about, as survey_failures_total has it.
const (
	aboutBinlogs     = "binlogs"
	aboutDeadLetters = "dead_letters"
)

// Binlogs answers for the source. *binlog.Reader does.
type Binlogs interface {
	Survey(ctx context.Context, p *checkpoint.Position) (*binlog.Survey, error)
	OldestBinlog(ctx context.Context) (time.Time, error)
}

// Surveyor asks the source and the broker, rarely, for what nobody tells a [Watch]: how
// long binlogs are kept, how far the position is behind, and the dead letters.
type Surveyor struct {
	Watch   *Watch
	Binlogs Binlogs
	// DeadLetters counts them by whose they are.
	DeadLetters func(ctx context.Context) (map[string]uint64, error)
	Log         *slog.Logger

	said map[string]string // the last failure that was logged, by what was asked
}

// survey is what the answers were; nothing of it is known of a standby.
type survey struct {
	at, oldest, asked time.Time // asked: for the oldest
	keep              time.Duration
	behind            uint64
	behindKnown       bool
	deadLetters       map[string]uint64
}

// Run asks for as long as this process leads, until ctx ends.
func (s *Surveyor) Run(ctx context.Context) {
	s.said = make(map[string]string)
	tick := time.NewTicker(surveyEvery)
	defer tick.Stop()
	for {
		s.ask(ctx)
		select {
		case <-tick.C:
		case <-s.Watch.led: // a new leader, or one that found its source, has no answers yet
		case <-ctx.Done():
			return
		}
	}
}

// ask asks both sides at once: one that hangs must not hide the other's answer.
func (s *Surveyor) ask(ctx context.Context) {
	seen := s.Watch.look()
	if !seen.attached || seen.status.Role != relay.Leader {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	var letters map[string]uint64
	var lettersErr error
	var wg sync.WaitGroup
	wg.Go(func() { letters, lettersErr = s.DeadLetters(ctx) })
	if seen.link.connected { // else the reader says what is wrong
		s.failed(ctx, aboutBinlogs, s.askSource(ctx, seen))
	}
	wg.Wait()
	s.failed(ctx, aboutDeadLetters, lettersErr)
	if lettersErr == nil {
		s.Watch.answered(func(a *survey) { a.deadLetters = letters })
	}
}

func (s *Surveyor) askSource(ctx context.Context, seen view) error {
	got, err := s.Binlogs.Survey(ctx, nil) // about a position it would read heads of files
	if err != nil {
		return err
	}
	at := s.Watch.look().status.Checkpoint // of now: later than the answer
	behind, known := got.End.Resume.Ahead(at.Resume), at.Binlog.IsZero() && !got.End.Resume.IsEmpty()
	s.Watch.answered(func(a *survey) {
		a.at, a.keep, a.behind, a.behindKnown = seen.now, got.Keep, behind, known
	})
	if seen.now.Sub(seen.survey.asked) < oldestEvery {
		return nil
	}
	s.Watch.answered(func(a *survey) { a.asked = seen.now }) // also when it fails: it is the asking that is dear
	oldest, err := s.Binlogs.OldestBinlog(ctx)
	if err != nil {
		return err
	}
	s.Watch.answered(func(a *survey) { a.oldest = oldest })
	return nil
}

// failed counts a failure, and logs it when it is another one than before.
func (s *Surveyor) failed(ctx context.Context, about string, err error) {
	if err == nil {
		delete(s.said, about)
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	s.Watch.metrics.unasked.WithLabelValues(about).Inc()
	if text := err.Error(); s.said[about] != text {
		s.said[about] = text
		s.Log.Warn("a question for the metrics was not answered; publishing goes on, and it is asked again", "about", about, "error", err, "in", surveyEvery.String())
	}
}
