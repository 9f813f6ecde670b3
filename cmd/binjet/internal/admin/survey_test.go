package admin

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/relay"
)

// server answers as the test wants, and for the broker too.
type server struct {
	mu              sync.Mutex
	survey          binlog.Survey
	oldest          time.Time
	letters         map[string]uint64
	err, lettersErr error
	surveys, oldies int
}

func (s *server) Survey(context.Context, *checkpoint.Position) (*binlog.Survey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.surveys++
	return &s.survey, s.err
}

func (s *server) OldestBinlog(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldies++
	return s.oldest, s.err
}

func (s *server) deadLetters(context.Context) (map[string]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letters, s.lettersErr
}

func (s *server) fail(err, lettersErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.lettersErr = err, lettersErr
}

func (s *server) asked() (surveys, oldies int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.surveys, s.oldies
}

type lockedBuilder struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.String()
}

func (b *bench) scrape(t *testing.T, names ...string) string {
	t.Helper()
	text, err := testutil.CollectAndFormat(newGauges(b.Watch), expfmt.TypeTextPlain, names...)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The leader asks twice a minute, and rarely for what is written into the server's
// log; a standby asks nothing, and forgets the answers.
func TestSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.now, b.status.Role = time.Now, relay.Standby
		srv := &server{oldest: time.Unix(500_000, 0), survey: binlog.Survey{Keep: 2 * time.Hour}, letters: map[string]uint64{"billing": 3}}
		srv.survey.End.Resume.Add(gtid(9))
		b.status.Checkpoint.Resume.Add(gtid(4))
		var log lockedBuilder
		s := &Surveyor{Watch: b.Watch, Binlogs: srv, DeadLetters: srv.deadLetters, Log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		defer func() { cancel(); <-done }()

		time.Sleep(time.Hour + time.Second) // not when it asks
		synctest.Wait()
		if n, _ := srv.asked(); n != 0 {
			t.Fatal("a standby asked")
		}
		b.become(relay.Leader)
		b.RelayHooks().Role(relay.Leader)
		b.ReaderHooks().Connected(binlog.Server{})
		synctest.Wait()
		names := []string{"binjet_lag_transactions", "binjet_source_binlog_keep_seconds", "binjet_source_oldest_binlog_timestamp_seconds", "binjet_dead_letters", "binjet_position_purge_seconds"}
		text := b.scrape(t, names...)
		for _, want := range []string{"binjet_lag_transactions 5", "keep_seconds 7200", "timestamp_seconds 500000", `dead_letters{name="billing"} 3`, "purge_seconds "} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n, oldies := srv.asked(); n < 120 || n > 122 || oldies > 6 || oldies < 4 {
			t.Errorf("in an hour: asked %d times, for the oldest %d times", n, oldies)
		}

		srv.fail(errors.New("access denied"), errors.New("no answer"))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "access denied"); n != 1 || strings.Count(log.String(), "no answer") != 1 {
			t.Errorf("one failure is said %d times:\n%s", n, log.String())
		}
		if n := testutil.ToFloat64(b.metrics.unasked.WithLabelValues(aboutBinlogs)); n != 10 {
			t.Errorf("%v failures are counted", n)
		}
		b.RelayHooks().Role(relay.Standby)
		b.answered(func(a *survey) { a.keep, a.at = time.Hour, time.Now() }) // one that comes late
		if text := b.scrape(t, names...); text != "" {
			t.Errorf("a standby shows old answers:\n%s", text)
		}
	})
}

// The position is as old as the oldest thing that still needs the binlog.
func TestPositionAge(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*bench)
		want time.Duration
	}{
		"level":        {func(b *bench) { b.status.Checkpoint.XA = nil }, 0},
		"undecided XA": {func(b *bench) {}, 10 * time.Minute},
		"behind":       {func(b *bench) { b.ReaderHooks().Transaction(gtid(1), b.clock.Add(-time.Hour), 0) }, time.Hour},
		"source is lost": {func(b *bench) {
			b.status.Checkpoint.XA = nil
			b.ReaderHooks().Disconnected(errors.New("x"))
			b.stall(time.Minute)
		},
			time.Minute},
		"snapshot": {func(b *bench) {
			b.status.Checkpoint.XA, b.status.Checkpoint.Snapshot = nil, &checkpoint.Snapshot{Begun: true}
			b.RelayHooks().Committed(relay.Commit{Checkpoint: b.status.Checkpoint})
			b.stall(2 * time.Minute)
		}, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			b.status.Checkpoint.XA = []checkpoint.XA{{Since: b.clock.Add(-time.Hour)}, {Since: b.clock.Add(-10 * time.Minute), Rows: 1}}
			b.RelayHooks().Role(relay.Leader)
			test.set(b)
			if got := b.look().positionAge(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
