package main

import (
	"context"
	"errors"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
	"github.com/binjet/binjet/cmd/binjet/internal/schema"
)

func newSchemaDown(p process) *cobra.Command {
	var yes, force bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Drop the outbox tables, once all of their rows are published",
		Long: `Drop the outbox tables. A table with rows is locked first, so that writers wait, and is
dropped only when the position that the stream holds is behind all that was committed by
then: else nothing is dropped, and the exit code is 3. Services that insert events fail
from then on, and a consumer keeps what is in the stream.

The account needs SELECT, DROP and LOCK TABLES, and REPLICATION SLAVE to compare the
position with the server; without GTIDs REPLICATION CLIENT, too.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadSettings(cmd, p.environ)
			if err != nil {
				return failed(err)
			}
			if !yes {
				if err := printSchema(cmd, cfg, "", 0, true); err != nil {
					return err
				}
				return errors.New("nothing was dropped: say --yes to run these statements")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return failed(schemaDown(ctx, cmd, p, cfg, force))
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "drop the tables; without it the statements are printed only")
	cmd.Flags().BoolVar(&force, "force-data-loss", false, "drop them whether their rows are published or not; their events may be lost for good")
	addSettings(cmd)
	return cmd
}

func schemaDown(ctx context.Context, cmd *cobra.Command, p process, cfg config.Config, force bool) error {
	log := logging.New(p.stderr, quietLevel(cfg), cfg.Log.Format)
	logWarnings(log, cfg)
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	dropper := schema.Dropper{DB: db}
	if !force {
		reader, err := newReader(cfg, log, binlog.Hooks{})
		if err != nil {
			return err
		}
		published, closing := publishedPosition(cfg, log)
		defer closing()
		dropper.Published, dropper.Verify = published, reader.Verify
	}
	report := initReport{cmd: cmd}
	for _, table := range cfg.Source.Tables {
		live, err := schema.Inspect(ctx, db, table)
		if err != nil {
			return schemaError(err)
		}
		if !live.Exists {
			if err := report.done("table", table, "absent"); err != nil {
				return err
			}
			continue
		}
		dropper.Table = table
		if err := dropper.Drop(ctx); err != nil {
			return downError(err)
		}
		if err := report.done("table", table, "dropped"); err != nil {
			return err
		}
	}
	return nil
}

// publishedPosition returns what tells the position that the stream holds, which
// connects when it is first asked: a table without rows needs no stream.
func publishedPosition(cfg config.Config, log *slog.Logger) (position func(context.Context) (checkpoint.Position, error), closing func()) {
	var nc *nats.Conn
	var at *store.Store
	position = func(ctx context.Context) (checkpoint.Position, error) {
		if at == nil {
			conn, err := connectNATS(cfg, log, nil)
			if err != nil {
				return checkpoint.Position{}, err
			}
			nc, at = conn, store.New(conn, cfg.Stream.Name, cfg.Source.Name)
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		held, err := at.Load(ctx)
		if errors.Is(err, store.ErrNotFound) {
			return checkpoint.Position{}, errors.New("the stream holds no checkpoint of source " + cfg.Source.Name)
		}
		return held.Position, err
	}
	return position, func() {
		if nc != nil {
			nc.Close()
		}
	}
}

const nextUnpublished = "run binjet run until binjet status shows no lag, and try again; to lose the events, say --force-data-loss"

// downError words why a table is still there.
func downError(err error) error {
	var unpublished *schema.UnpublishedError
	if errors.As(err, &unpublished) {
		return &checkpoint.HaltError{Problem: err.Error(), Hint: "Nothing was dropped: " + nextUnpublished}
	}
	return schemaError(err)
}
