package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/schema"
)

func newSchema(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Create, migrate, compare and drop the outbox tables",
		Long: `Create, migrate, compare and drop the outbox tables, which are those of source.tables
(--tables). The SQL is the same for MySQL and MariaDB.

Variants of a table:
  innodb       keeps rows until somebody deletes them (default)
  partitioned  innodb by partitions of a day, so that a day is dropped at once; an ID is
               unique only together with created_at
  blackhole    keeps no rows: no snapshot, no rescan, nothing to compare the stream with;
               MariaDB needs its plugin`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("name one of: up, down, print, validate")
		},
	}
	cmd.AddCommand(newSchemaPrint(p), newSchemaUp(p), newSchemaValidate(p), newSchemaDown(p))
	return cmd
}

func newSchemaPrint(p process) *cobra.Command {
	var variant string
	var down bool
	from := 0
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the SQL of the outbox tables; connects to nothing",
		Long: `Print the SQL that creates the outbox tables, for tools of your own: golang-migrate,
goose, Atlas, mysql. With --from it is what brings a table of that version to the newest,
with --down what drops the tables and all of their rows. Nothing is connected to.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := settingsInput(cmd, p.environ)
			in.Offline = true
			cfg, err := config.Load(in)
			if err != nil {
				return failed(err)
			}
			v, err := variantOf(variant)
			if err != nil {
				return err
			}
			return printSchema(cmd, cfg, v, from, down)
		},
	}
	addVariant(cmd, &variant, "innodb")
	cmd.Flags().IntVar(&from, "from", 0, "version that the tables have; 0 for none")
	cmd.Flags().BoolVar(&down, "down", false, "print what drops the tables")
	addSettings(cmd)
	return cmd
}

func addVariant(cmd *cobra.Command, variant *string, otherwise string) {
	cmd.Flags().StringVar(variant, "variant", "", "innodb, partitioned or blackhole (default "+otherwise+")")
	_ = cmd.RegisterFlagCompletionFunc("variant", cobra.FixedCompletions([]string{"innodb", "partitioned", "blackhole"}, cobra.ShellCompDirectiveNoFileComp))
}

// variantOf reads the flag; "" stays what it is.
func variantOf(text string) (binjet.Variant, error) {
	v := binjet.Variant(text)
	if text != "" && !slices.Contains(binjet.Variants(), v) {
		return "", fmt.Errorf("--variant %q is none of innodb, partitioned and blackhole", text)
	}
	return v, nil
}

// tableSQL are the statements for a table, without semicolons.
type tableSQL struct {
	Table      string   `json:"table"`
	Statements []string `json:"statements"`
}

func printSchema(cmd *cobra.Command, cfg config.Config, variant binjet.Variant, from int, down bool) error {
	list := []tableSQL{}
	for _, table := range cfg.Source.Tables {
		statements, err := schemaSQL(cfg, binjet.Schema{Table: table, Variant: variant}, from, down)
		if err != nil {
			return failed(err)
		}
		list = append(list, tableSQL{table, statements})
	}
	return emit(cmd, list, func(w io.Writer) error {
		for _, t := range list {
			if err := printStatements(w, t.Table, t.Statements); err != nil {
				return err
			}
		}
		return nil
	})
}

func schemaSQL(cfg config.Config, s binjet.Schema, from int, down bool) ([]string, error) {
	switch {
	case down:
		statement, err := s.Down()
		return []string{statement}, err
	case from == 0:
		return createTable(cfg, s)
	}
	return s.Up(from)
}

// printStatements prints SQL that can be piped into mysql.
func printStatements(w io.Writer, table string, statements []string) error {
	if len(statements) == 0 {
		_, err := fmt.Fprintf(w, "-- table %s: nothing to do\n", table)
		return err
	}
	_, err := fmt.Fprintf(w, "%s;\n", strings.Join(statements, ";\n"))
	return err
}

//go:embed debezium.sql
var debeziumSQL string

// createTable is the SQL of a new outbox table, by the preset. Mapped columns say
// that the table is somebody else's design, which we can't know.
func createTable(cfg config.Config, s binjet.Schema) ([]string, error) {
	if cfg.Source.Columns != config.PresetColumns(cfg.Source.Preset) {
		return nil, advise(fmt.Errorf("table %s: source.columns maps columns, and binjet creates a table with the names of source.preset only", s.Table),
			"create the table yourself, or leave source.columns out")
	}
	if cfg.Source.Preset != config.PresetDebezium {
		return s.Up(0)
	}
	if s.Variant != "" && s.Variant != binjet.InnoDB {
		return nil, fmt.Errorf("table %s: variant %s is one of binjet's own table, and source.preset is %s: leave --variant out", s.Table, s.Variant, cfg.Source.Preset)
	}
	quoted, err := binjet.QuoteTable(s.Table)
	if err != nil {
		return nil, err
	}
	return []string{strings.TrimSuffix(strings.TrimSpace(strings.Replace(debeziumSQL, "{{table}}", quoted, 1)), ";")}, nil
}

// wanted is a table as it is to be by the configuration.
func wanted(cfg config.Config, table string, variant binjet.Variant) schema.Want {
	return schema.Want{Table: table, Variant: variant, Create: func(s binjet.Schema) ([]string, error) { return createTable(cfg, s) }}
}

// mapped reports whether the columns are somebody else's design.
func mapped(cfg config.Config) bool { return cfg.Source.Columns != config.DefaultColumns() }
