package verify

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// Row is what is needed of one.
type Row struct {
	ID      string
	Created time.Time // zero where the table has no such column
	// Expires is when its event was to be dropped; zero for never. [Tables.Rows] sets it.
	Expires time.Time
}

// Table is one outbox table.
type Table interface {
	Name() string
	// Page returns up to n rows behind the ID after that were created in [since, until),
	// in an order of the IDs that is always the same.
	Page(ctx context.Context, after string, since, until time.Time, n int) ([]Row, error)
	// Rows returns those of the IDs that there are, with their expiry.
	Rows(ctx context.Context, ids []string) ([]Row, error)
}

// Reader is what is asked of the source. *binlog.Reader is one.
type Reader interface {
	Survey(ctx context.Context, p *checkpoint.Position) (*binlog.Survey, error)
	Passage(ctx context.Context, from, upto checkpoint.Position, each func(*checkpoint.Transaction) bool) (binlog.Passage, error)
}

// Config says what to compare.
type Config struct {
	Source, Stream, SubjectPrefix string
	Conn                          *nats.Conn
	Reader                        Reader
	Tables                        []Table
	// Dated says that the tables have a creation time; without it there is no range.
	Dated bool
	// Since and Until are the range; zero is the first row, and now.
	Since, Until time.Time
	// RowsDeleted says that rows are deleted in another way than by their age, so
	// that an event without a row is never a finding.
	RowsDeleted bool
	// Wait is how long to wait for a relay that is behind. Default: none.
	Wait time.Duration
	// Window is how many IDs are held at a time. Default 500,000 (some 80 MB).
	Window int
	// Most findings are listed; all are counted. Default 1000.
	Most int
	// Progress is told how far it is, for people; it may be nil.
	Progress func(format string, args ...any)
}

const (
	pageRows = 5000
	// skew is how far the clocks of database and broker may be apart, and with it how
	// much earlier than a row's creation its event can seem to be stored.
	skew = 10 * time.Minute
	// mostAbsent bounds the rows that are looked at again.
	mostAbsent = 200_000
)

// ErrTooManyAbsent ends a comparison that found so many rows without an event that
// nothing would be gained by listing them: the wrong stream, mostly.
var ErrTooManyAbsent = errors.New("too many rows have no event")

// verification is one run.
type verification struct {
	Config
	js     jetstream.JetStream
	store  *store.Store
	report *Report
	state  *jetstream.StreamInfo

	absent   map[string]absence
	oldest   time.Time // of the rows of the range
	order    *order
	reported time.Time
}

// absence is a row that the stream seemed to lack.
type absence struct {
	table   string
	created time.Time
}

// Run compares. The error says that it could not; what it found is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Window <= 0 {
		cfg.Window = 500_000
	}
	if cfg.Most <= 0 {
		cfg.Most = 1000
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, ...any) {}
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	v := &verification{Config: cfg, js: js, store: store.New(cfg.Conn, cfg.Stream, cfg.Source), absent: make(map[string]absence), order: newOrder(),
		report: &Report{Source: cfg.Source, Stream: cfg.Stream, Tables: []string{}, Found: make(map[Kind]uint64), Findings: []Finding{}, most: cfg.Most}}
	for _, t := range cfg.Tables {
		v.report.Tables = append(v.report.Tables, t.Name())
	}
	began := time.Now()
	if err := v.run(ctx); err != nil {
		return nil, err
	}
	v.report.Took = time.Since(began)
	v.report.OK = len(v.report.Found) == 0
	return v.report, nil
}

func (v *verification) run(ctx context.Context) error {
	held, _, err := v.caughtUp(ctx)
	if err != nil {
		return err
	}
	stream, err := v.js.Stream(ctx, v.Stream)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", v.Stream, err)
	}
	v.state = stream.CachedInfo()
	v.report.Position, v.report.UpTo = held.Where(), held.Seq
	passes := uint32(1 + int(v.state.State.Msgs)/v.Window)
	for pass := range passes {
		if passes > 1 {
			v.Progress("pass %d of %d", pass+1, passes)
		}
		if err := v.pass(ctx, held, pass, passes); err != nil {
			return err
		}
	}
	return v.settleAbsent(ctx, held)
}

// caughtUp returns a checkpoint that is past all that was committed before, if the
// relay gets there in time. end is where the source was.
func (v *verification) caughtUp(ctx context.Context) (held store.Held, end checkpoint.Position, err error) {
	survey, err := v.Reader.Survey(ctx, nil)
	if err != nil {
		return held, end, err
	}
	if v.report.Until.IsZero() {
		v.report.Since, v.report.Until = v.Since, survey.Now
		if !v.Until.IsZero() && v.Until.Before(survey.Now) {
			v.report.Until = v.Until
		}
	}
	deadline := time.Now().Add(v.Wait)
	for said := false; ; said = true {
		held, err := v.store.Load(ctx)
		if errors.Is(err, store.ErrNotFound) {
			return held, end, fmt.Errorf("stream %s holds no checkpoint of source %s: nothing was published yet, or binjet run was never started", v.Stream, v.Source)
		}
		if err != nil || past(held.Position, survey.End) || !time.Now().Before(deadline) {
			return held, survey.End, err
		}
		if !said {
			v.Progress("waiting up to %s for the relay to reach %s", v.Wait, survey.End.Where())
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return held, end, ctx.Err()
		}
	}
}

// past reports whether p is at end or behind it.
func past(p, end checkpoint.Position) bool {
	if !end.Binlog.IsZero() {
		return !p.Binlog.Before(end.Binlog)
	}
	return p.Partial == nil && p.Resume.ContainsSet(end.Resume)
}

// entry is an event of the stream.
type entry struct {
	seq     uint64
	created time.Time
	matched bool
}

// pass compares the IDs that hash to it.
func (v *verification) pass(ctx context.Context, held store.Held, pass, passes uint32) error {
	mine := func(id string) bool {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id))
		return passes == 1 || h.Sum32()%passes == pass
	}
	events := make(map[string]entry)
	err := v.readStream(ctx, v.startOf(), held.Seq, func(m event) {
		if pass == 0 {
			v.inOrder(m)
		}
		if m.id == "" || !mine(m.id) || !v.inRange(m.created) {
			return
		}
		if first, again := events[m.id]; again {
			v.report.add(Finding{Kind: Repeated, ID: m.id, Sequence: m.seq, Created: m.created, Detail: fmt.Sprintf("is at sequence %d already", first.seq)})
			return
		}
		v.report.Events++
		events[m.id] = entry{seq: m.seq, created: m.created}
	})
	if err != nil {
		return err
	}
	for _, t := range v.Tables {
		if err := v.readTable(ctx, t, mine, events); err != nil {
			return err
		}
	}
	return v.settleExtra(ctx, events)
}

// inRange: without a creation time everything is.
func (v *verification) inRange(created time.Time) bool {
	return !v.Dated || created.IsZero() || !created.Before(v.report.Since) && created.Before(v.report.Until)
}

func (v *verification) readTable(ctx context.Context, t Table, mine func(string) bool, events map[string]entry) error {
	after := ""
	for n := 0; ; {
		rows, err := t.Page(ctx, after, v.report.Since, v.report.Until, pageRows)
		if err != nil {
			return fmt.Errorf("read table %s: %w", t.Name(), err)
		}
		for _, row := range rows {
			after = row.ID
			if v.oldest.IsZero() || row.Created.Before(v.oldest) { // of all, whatever the pass
				v.oldest = row.Created
			}
			if !mine(row.ID) {
				continue
			}
			v.report.Rows++
			if e, ok := events[row.ID]; ok {
				e.matched = true
				events[row.ID] = e
				continue
			}
			v.absent[row.ID] = absence{t.Name(), row.Created}
			if len(v.absent) > mostAbsent {
				return fmt.Errorf("%w: more than %d, the last one %s of table %s; is stream %s the right one, and source %s? Else choose a smaller range",
					ErrTooManyAbsent, mostAbsent, row.ID, t.Name(), v.Stream, v.Source)
			}
		}
		n += len(rows)
		v.tell("table %s: %d rows", t.Name(), n)
		if len(rows) < pageRows {
			return nil
		}
	}
}

// tell says how far it is, every two seconds.
func (v *verification) tell(format string, args ...any) {
	if now := time.Now(); now.Sub(v.reported) > 2*time.Second {
		v.reported = now
		v.Progress(format, args...)
	}
}
