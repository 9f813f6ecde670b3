package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
	"github.com/binjet/binjet/cmd/binjet/internal/schema"
)

func newSchemaValidate(p process) *cobra.Command {
	var variant string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Compare the outbox tables with what binjet makes, and print what mends them",
		Long: `Compare the outbox tables of the server with those that binjet makes: columns, types,
character sets, NULL, primary key, engine, partitions, version. Each difference comes with
the statement that mends it. The exit code is 1 when one loses or refuses events; what
works and only differs is a warning. With source.columns set, the mapped columns are
looked at only. Nothing is changed.

The account needs SELECT on the tables.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := variantOf(variant)
			if err != nil {
				return err
			}
			cfg, err := loadSettings(cmd, p.environ)
			if err != nil {
				return failed(err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return schemaValidate(ctx, cmd, p, cfg, v)
		},
	}
	addVariant(cmd, &variant, "what a table is")
	addSettings(cmd)
	return cmd
}

// schemaReport is the result of validate, as JSON too.
type schemaReport struct {
	Tables []checkSide `json:"tables"`
	Checks int         `json:"checks"`
	Failed int         `json:"failed"`
}

func schemaValidate(ctx context.Context, cmd *cobra.Command, p process, cfg config.Config, variant binjet.Variant) error {
	log := logging.New(p.stderr, quietLevel(cfg), cfg.Log.Format)
	logWarnings(log, cfg)
	reader, err := newReader(cfg, log, binlog.Hooks{})
	if err != nil {
		return failed(err)
	}
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return failed(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	read, err := checkReader(ctx, cfg, reader, nil)
	if err != nil {
		return failed(sourceError(read, err))
	}
	today, err := schema.Today(ctx, db)
	if err != nil {
		return failed(fmt.Errorf("ask the server for the day: %w", err))
	}
	report := schemaReport{Tables: []checkSide{}}
	for _, table := range cfg.Source.Tables {
		live, err := schema.Inspect(ctx, db, table)
		if err != nil {
			return failed(schemaError(err))
		}
		list, err := schema.Validate(live, schema.Against{Variant: variant, Today: today, Mapped: mapped(cfg), Reader: schema.OfReader(read, qualified(cfg, table))})
		if err != nil {
			return failed(err)
		}
		report.Tables = append(report.Tables, checkSide{Name: table, At: cfg.Database.Addr, Checks: checkResults(list)})
		report.Checks, report.Failed = report.Checks+len(list), report.Failed+countFailed(list)
	}
	if err := emit(cmd, report, report.print); err != nil || report.Failed == 0 {
		return err
	}
	return toldFailure(errors.New("the tables are not as they should be"))
}

// qualified is a table's name with its schema.
func qualified(cfg config.Config, table string) string {
	if strings.Contains(table, ".") {
		return table
	}
	return cfg.Database.Name + "." + table
}

func (r schemaReport) print(w io.Writer) error {
	for _, t := range r.Tables {
		t.print(w, "table")
	}
	if r.Failed > 0 {
		_, err := fmt.Fprintf(w, "%d of %d checks failed\n", r.Failed, r.Checks)
		return err
	}
	_, err := fmt.Fprintf(w, "all %d checks passed\n", r.Checks)
	return err
}
