package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/internal/prune"
	"github.com/binjet/binjet/relay"
)

func newPrune(p process) *cobra.Command {
	var older, wait time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete old outbox rows that are safely in the stream",
		Long: `Delete the rows of the outbox tables that are older than --older-than (default:
retention.keep), by created_at and the server's clock, and safely in the stream: their
transactions are in the position of the checkpoint that the stream holds. From a table
that is partitioned by day, whole partitions are dropped.

It goes in small batches with pauses (retention.batch_rows, retention.pause), locks only
the rows that it deletes, and may be interrupted and run again at any time. binjet run
has to run: what the server holds must be in the stream before anything is deleted.
With retention.keep set, binjet run prunes by itself.

Without a checkpoint, during a snapshot or a rescan, on a server of another history, or
where the stream does not come up within --wait, nothing more is deleted and the exit code is 1;
3 where an operator must decide.`,
		Example: `  binjet prune --older-than 168h --dry-run
  binjet prune --older-than 168h -o json`,
		Args: noArguments,
		RunE: visiting(p, true, func(v *visit, _ []string) error {
			if older == 0 {
				older = v.cfg.Retention.Keep
			}
			if older <= 0 {
				return errors.New("say which rows: --older-than 168h, or set retention.keep")
			}
			if wait <= 0 {
				return fmt.Errorf("--wait %s is not positive", wait)
			}
			return v.prune(older, wait, dry)
		}),
	}
	cmd.Flags().DurationVar(&older, "older-than", 0, "age from which on rows go (default retention.keep)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "delete nothing, and say what would be")
	cmd.Flags().DurationVar(&wait, "wait", prune.DefaultPatience, "how long the stream may take to come up to the source")
	addSettings(cmd)
	return cmd
}

// prune is one round.
func (v *visit) prune(older, wait time.Duration, dry bool) error {
	nc, _, err := v.broker()
	if err != nil {
		return failed(err)
	}
	defer nc.Close()
	reader, err := v.reader()
	if err != nil {
		return failed(err)
	}
	if err := v.prunable(reader); err != nil {
		return failed(err)
	}
	pc, err := pruneConfig(v.cfg, nc, reader, v.log)
	if err != nil {
		return failed(err)
	}
	defer pc.DB.Close()
	progress := pruneProgress{say: v.say, told: time.Now()}
	pc.Keep, pc.Patience, pc.DryRun, pc.Hooks.Deleted = older, wait, dry, progress.deleted
	pruner, err := prune.New(pc)
	if err != nil {
		return failed(err)
	}
	report, err := pruner.Once(v.ctx)
	if len(report.Tables) > 0 {
		if e := emit(v.cmd, pruneResult{report, report.Rows(), report.Took.Seconds()}, func(w io.Writer) error { return printPruned(w, report) }); e != nil {
			return e
		}
	}
	return failed(pruneAdvice(err))
}

// prunable refuses where something is missing, all faults at once.
func (v *visit) prunable(reader *binlog.Reader) error {
	ctx, cancel := context.WithTimeout(v.ctx, askTimeout)
	defer cancel()
	findings, err := reader.CheckPrune(ctx)
	if err != nil {
		return sourceError(findings, err)
	}
	var faults []error
	for _, f := range findings {
		if !f.OK {
			faults = append(faults, advise(fmt.Errorf("%s: %s", f.Name, f.Detail), f.Fix))
		}
	}
	return errors.Join(faults...)
}

// pruneAdvice adds the next step.
func pruneAdvice(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return advise(err, "nothing was published yet, or source.name or stream.name is not that of binjet run: rows are deleted only once the stream holds a checkpoint")
	case errors.Is(err, prune.ErrBehind):
		return advise(err, "see binjet status: binjet run must be running and lead, and come up to the source")
	case errors.Is(err, prune.ErrSnapshot):
		return advise(err, "wait until it is (binjet status)")
	}
	return err
}

// pruneResult is the report as JSON.
type pruneResult struct {
	prune.Report
	Rows    int64   `json:"rows"`
	Seconds float64 `json:"seconds"`
}

func printPruned(w io.Writer, r prune.Report) error {
	did := "deleted"
	if r.DryRun {
		did = "would be deleted"
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range r.Tables {
		switch {
		case t.Skipped != "":
			_, _ = fmt.Fprintf(out, "%s\tskipped: %s\n", t.Table, t.Skipped)
			continue
		case len(t.Partitions) > 0:
			_, _ = fmt.Fprintf(out, "%s\tpartitions %s: %v\n", t.Table, did, t.Partitions)
		}
		_, _ = fmt.Fprintf(out, "%s\t%d rows %s, created before %s\n", t.Table, t.Rows, did, t.Before.Format(time.DateTime+" UTC"))
		if !t.Oldest.IsZero() {
			_, _ = fmt.Fprintf(out, "\toldest that stays: %s\n", t.Oldest.Format(time.DateTime+" UTC"))
		}
	}
	return out.Flush()
}

// pruneProgress says now and then how far it is.
type pruneProgress struct {
	say  func(format string, args ...any)
	told time.Time
	rows int64
}

func (p *pruneProgress) deleted(table string, rows int64, _ time.Duration) {
	p.rows += rows
	if time.Since(p.told) > 5*time.Second {
		p.told = time.Now()
		p.say("%d rows deleted so far, now from %s", p.rows, table)
	}
}

// pruneConfig is what run and prune have in common. The caller closes the DB.
func pruneConfig(cfg config.Config, nc *nats.Conn, reader *binlog.Reader, log *slog.Logger) (prune.Config, error) {
	db, err := pruneDatabase(cfg)
	if err != nil {
		return prune.Config{}, err
	}
	held := store.New(nc, cfg.Stream.Name, cfg.Source.Name)
	return prune.Config{
		DB: db, Tables: cfg.Source.Tables, ID: cfg.Source.Columns.ID, CreatedAt: cfg.Source.Columns.CreatedAt,
		Keep: cfg.Retention.Keep, Rates: pruneRates(cfg),
		Published: func(ctx context.Context) (checkpoint.Position, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.Relay.CommitTimeout)
			defer cancel()
			h, err := held.Load(ctx)
			return h.Position, err
		},
		Verify: reader.Verify, ErrorCode: errorCode, Logger: log,
	}, nil
}

// pruneRates are the rates as package prune has them: a pause of 0 is its default.
func pruneRates(cfg config.Config) prune.Rates {
	r := prune.Rates{BatchRows: cfg.Retention.BatchRows, Pause: cfg.Retention.Pause, Interval: cfg.Retention.Interval}
	if r.Pause == 0 {
		r.Pause = -1
	}
	return r
}

// pruneDatabase opens connections one round long.
func pruneDatabase(cfg config.Config) (*sql.DB, error) {
	d := cfg.Database
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName, c.TLS = d.Net, d.Addr, d.User, string(d.Password), d.Name, d.TLS
	c.Timeout, c.ReadTimeout, c.WriteTimeout = askTimeout, askTimeout, askTimeout
	c.InterpolateParams = true
	c.Logger = &mysql.NopLogger{} // what it logs it returns too
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	return sql.OpenDB(connector), nil
}

func errorCode(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// startPruning prunes while this process leads, until stop; nothing if it is off.
func startPruning(ctx context.Context, cfg config.Config, nc *nats.Conn, watch *admin.Watch, reload onReload, log *slog.Logger) (stop func(), err error) {
	if cfg.Retention.Keep == 0 {
		return func() {}, nil
	}
	cfg.Source.ServerID = 0 // the relay's reader has it
	reader, err := newReader(cfg, slog.New(slog.DiscardHandler), binlog.Hooks{})
	if err != nil {
		return nil, err
	}
	pc, err := pruneConfig(cfg, nc, reader, log)
	if err != nil {
		return nil, err
	}
	pc.Hooks = watch.PruneHooks(cfg.Retention.Keep)
	pc.Active = func() bool { s, ok := watch.Status(); return ok && s.Role == relay.Leader }
	pruner, err := prune.New(pc)
	if err != nil {
		return nil, errors.Join(err, pc.DB.Close())
	}
	for _, key := range []string{"retention.interval", "retention.batch_rows", "retention.pause"} {
		reload(key, func(c config.Config) {
			if err := pruner.SetRates(pruneRates(c)); err != nil { // what was validated is in bounds
				log.Error("the rates of pruning stay as they were", "error", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { pruner.Run(ctx) })
	return func() { cancel(); wg.Wait(); _ = pc.DB.Close() }, nil
}
