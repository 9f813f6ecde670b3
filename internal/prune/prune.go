package prune

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

var (
	// ErrBehind says that the stream did not come up to what the server held.
	ErrBehind = errors.New("the stream is not past what the server holds")
	// ErrSnapshot says that a snapshot or a rescan is unfinished.
	ErrSnapshot = errors.New("a snapshot of the outbox tables is not finished")
	// ErrInactive says that the pruner was told to stop in the middle of a round.
	ErrInactive = errors.New("this process no longer leads")
)

// Pruner deletes old rows. Its methods are for one goroutine, but for SetRates.
type Pruner struct {
	cfg Config
	log *slog.Logger

	mu      sync.Mutex
	rates   Rates
	changed chan struct{} // closed when there are other rates
}

// New checks the configuration, all faults at once. It asks nobody anything.
func New(cfg Config) (*Pruner, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("prune configuration: %w", err)
	}
	return &Pruner{cfg: cfg, log: cfg.Logger, rates: cfg.Rates, changed: make(chan struct{})}, nil
}

// Report is what a round did.
type Report struct {
	Tables []TableReport `json:"tables"`
	DryRun bool          `json:"dry_run,omitempty"`
	Took   time.Duration `json:"-"`
}

// TableReport is what a round did with one table.
type TableReport struct {
	Table string `json:"table"`
	// Before is the age limit, by the server's clock.
	Before time.Time `json:"created_before,omitzero"`
	// Rows were deleted; in a dry run they would be.
	Rows int64 `json:"rows"`
	// Partitions were dropped, or would be.
	Partitions []string `json:"partitions,omitempty"`
	// Oldest is created_at of the oldest row that was seen and stays; zero for none.
	// In a table whose IDs don't grow, and which is large, it may be of another round.
	Oldest time.Time `json:"oldest_kept,omitzero"`
	// Skipped says why the table is none to prune.
	Skipped string `json:"skipped,omitempty"`
}

// Rows are those of all tables.
func (r Report) Rows() (n int64) {
	for _, t := range r.Tables {
		n += t.Rows
	}
	return n
}

// Run prunes, a round each interval, until ctx ends. What fails is logged and tried
// again in the next round.
func (p *Pruner) Run(ctx context.Context) {
	failing := ""
	for ctx.Err() == nil {
		if p.cfg.Active() {
			failing = p.round(ctx, failing)
		}
		_ = p.rest(ctx, intervalOf)
	}
}

// round logs an error once, until another one comes or none.
func (p *Pruner) round(ctx context.Context, failing string) string {
	report, err := p.Once(ctx)
	if errors.Is(err, ErrInactive) || ctx.Err() != nil {
		return failing
	}
	if p.cfg.Hooks.Round != nil {
		p.cfg.Hooks.Round(report, err)
	}
	now := ""
	if err != nil {
		now = err.Error()
	}
	switch {
	case now == failing:
	case err != nil:
		p.log.Warn("old outbox rows stay: pruning failed, and is tried again", slog.Any("error", err), slog.Duration("every", p.interval()))
	default:
		p.log.Info("pruning works again")
	}
	for _, t := range report.Tables {
		if t.Rows > 0 || len(t.Partitions) > 0 {
			p.log.Info("pruned", slog.String("table", t.Table), slog.Int64("rows", t.Rows), slog.Any("partitions", t.Partitions),
				slog.Time("created_before", t.Before), slog.Duration("took", report.Took))
		}
	}
	return now
}

// Once is one round: all rows that are old enough now and in the stream. The report
// is of what was done, also where an error ended it.
func (p *Pruner) Once(ctx context.Context) (report Report, err error) {
	begun := time.Now()
	report.DryRun = p.cfg.DryRun
	defer func() { report.Took = time.Since(begun) }()
	s, err := p.connect(ctx)
	if err != nil {
		return report, fmt.Errorf("prune: %w", err)
	}
	defer s.close()
	r := &round{Pruner: p, source: s}
	if err := r.verify(ctx); err != nil {
		return report, fmt.Errorf("prune: %w", err)
	}
	for _, name := range p.cfg.Tables {
		t := TableReport{Table: name}
		err := p.table(ctx, s, r, &t)
		report.Tables = append(report.Tables, t)
		if err != nil {
			return report, fmt.Errorf("prune %s: %w", name, err)
		}
	}
	return report, nil
}

// table prunes one table, in the way that suits it.
func (p *Pruner) table(ctx context.Context, s *session, r *round, t *TableReport) error {
	found, err := s.inspect(ctx, t.Table)
	switch {
	case err != nil:
		return err
	case found.skip != "":
		t.Skipped = found.skip
		return nil
	case len(found.partitions) > 0:
		return r.partitioned(ctx, s, found, t)
	}
	return r.sweep(ctx, found, t)
}

// verify fixes the server that the round is of, and lets the reader compare it
// with what the stream holds.
func (r *round) verify(ctx context.Context) error {
	at, err := r.published(ctx)
	if err != nil {
		return err
	}
	if r.last, err = r.source.horizon(ctx, at); err != nil {
		return err
	}
	if err := r.cfg.Verify(ctx, at); err != nil {
		return fmt.Errorf("compare the server with the stream's checkpoint: %w", err)
	}
	return nil
}

// published is the position that the stream holds, if rows may go by it.
func (p *Pruner) published(ctx context.Context) (checkpoint.Position, error) {
	at, err := p.cfg.Published(ctx)
	if err == nil && at.Snapshot != nil {
		err = ErrSnapshot
	}
	return at, err
}
