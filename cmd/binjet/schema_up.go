package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
	"github.com/binjet/binjet/cmd/binjet/internal/schema"
)

func newSchemaUp(p process) *cobra.Command {
	var variant string
	var dry bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create the outbox tables where they are absent, and migrate those that are there",
		Long: `Create the outbox tables where they are absent, bring those that are there to the
newest version, and add the partitions of the days to come to those that are partitioned.
It can be run again at any time, and by several processes at once.

The account needs SELECT, and CREATE for a new table; ALTER to migrate one; on a
partitioned table ALTER, CREATE, INSERT and DROP to add days.`,
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
			return failed(schemaUp(ctx, cmd, p, cfg, v, dry))
		},
	}
	addVariant(cmd, &variant, "what a table is, and innodb for a new one")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the statements that this server needs, and run none")
	addSettings(cmd)
	return cmd
}

func schemaUp(ctx context.Context, cmd *cobra.Command, p process, cfg config.Config, variant binjet.Variant, dry bool) error {
	logWarnings(logging.New(p.stderr, quietLevel(cfg), cfg.Log.Format), cfg)
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, table := range cfg.Source.Tables {
		do := bringUp
		if dry {
			do = planUp
		}
		if err := do(ctx, cmd, db, wanted(cfg, table, variant)); err != nil {
			return err
		}
	}
	return nil
}

// planUp prints what bringUp would do.
func planUp(ctx context.Context, cmd *cobra.Command, db *sql.DB, want schema.Want) error {
	_, list, err := schema.Look(ctx, db, want)
	if err != nil {
		return schemaError(err)
	}
	return emitLine(cmd, tableSQL{want.Table, append([]string{}, list...)}, func(w io.Writer) error {
		return printStatements(w, want.Table, list)
	})
}

// bringUp makes of a table what it is to be. One that is so is not touched, for
// which the account needs no right to.
func bringUp(ctx context.Context, cmd *cobra.Command, db *sql.DB, want schema.Want) error {
	before, list, err := schema.Apply(ctx, db, want)
	if err != nil {
		return schemaError(err)
	}
	result := "exists"
	switch {
	case !before.Exists:
		result = "created"
	case len(list) > 0:
		result = "changed"
	}
	report := initReport{cmd: cmd}
	return report.done("table", want.Table, result)
}

// schemaError words errors of making a table that have a next step.
func schemaError(err error) error {
	var variant *schema.VariantError
	switch {
	case errors.As(err, &variant):
		return advise(err, fmt.Sprintf("leave --variant out to keep it; binjet schema validate --variant %s prints the statements that change it", variant.Want))
	case errors.Is(err, schema.ErrNoBlackhole):
		return advise(err, "on MariaDB: INSTALL SONAME 'ha_blackhole'; or choose another --variant")
	case serverCode(err) == errLockWaitTimeout:
		return advise(err, "end the transaction that has the table open, or the undecided XA transaction (XA RECOVER), and try again")
	case serverCode(err) != 0:
		return advise(err, databaseNextStep(err))
	}
	return err
}
