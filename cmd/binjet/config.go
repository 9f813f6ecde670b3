package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
)

//go:generate sh -c "go run . config docs > ../../docs/configuration.md"

func newConfig(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print, validate and describe the configuration",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("name one of print, validate and schema")
		},
	}
	cmd.AddCommand(newConfigPrint(p), newConfigValidate(p), newConfigSchema(), newConfigDocs())
	return cmd
}

func newConfigPrint(p process) *cobra.Command {
	var set bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print what each key is set to, and by what",
		Long: `Print what binjet run would use here: each key's value, and the file and line, the
variable or the flag that sets it. Secrets are hidden. Nothing is connected to.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := settingsInput(cmd, p.environ)
			in.Offline = true
			cfg, values, err := config.Effective(in)
			if err != nil {
				return failed(err)
			}
			if set {
				values = onlySet(values)
			}
			return emit(cmd, effective{cfg.File, values}, func(w io.Writer) error { return printValues(w, values) })
		},
	}
	cmd.Flags().BoolVar(&set, "set", false, "leave out what is at its default")
	addSettings(cmd)
	return cmd
}

// effective is the JSON form of config print.
type effective struct {
	File string         `json:"file"`
	Keys []config.Value `json:"keys"`
}

func onlySet(values []config.Value) []config.Value {
	list := make([]config.Value, 0, len(values))
	for _, v := range values {
		if v.Layer != "default" {
			list = append(list, v)
		}
	}
	return list
}

func printValues(w io.Writer, values []config.Value) error {
	key, value := 0, 0
	for _, v := range values {
		key, value = max(key, len(v.Key)), max(value, min(len(shown(v.Value)), 60))
	}
	for _, v := range values {
		from := v.Layer
		if v.From != "" {
			from = v.From
		}
		if _, err := fmt.Fprintf(w, "%-*s  %-*s  %s\n", key, v.Key, value, shown(v.Value), from); err != nil {
			return err
		}
	}
	return nil
}

// shown is a value in one word, so that the lines can be cut into columns.
func shown(v any) string {
	switch v := v.(type) {
	case []string:
		return "[" + strings.Join(v, ",") + "]"
	case string:
		if v == "" || strings.ContainsAny(v, " \t\n\"") {
			return fmt.Sprintf("%q", v)
		}
		return v
	}
	return fmt.Sprint(v)
}

func newConfigValidate(p process) *cobra.Command {
	var fileOnly bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Say everything that is wrong with the configuration",
		Long: `Say everything that is wrong with the configuration that binjet run would use here,
with file, line and column. Nothing is connected to; binjet check does that. The exit
code is 2 when something is wrong.

With --file-only the file is looked at alone, as where it is written and not used:
without the environment and other flags, and what it names, such as certificates, need
not exist.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := settingsInput(cmd, p.environ)
			in.Offline, in.FileOnly = true, fileOnly
			cfg, err := config.Load(in)
			v := verdictOf(cfg, err)
			if err := emit(cmd, v, v.print); err != nil || v.Valid {
				return err
			}
			return &commandError{err: err, told: true}
		},
	}
	cmd.Flags().BoolVar(&fileOnly, "file-only", false, "look at the file alone: no environment, and what it names need not exist")
	addSettings(cmd)
	return cmd
}

// validity is the JSON form of config validate.
type validity struct {
	Valid    bool           `json:"valid"`
	File     string         `json:"file,omitempty"`
	Faults   []config.Fault `json:"faults"`
	Warnings []string       `json:"warnings"`
}

func verdictOf(cfg config.Config, err error) validity {
	v := validity{Valid: err == nil, File: cfg.File, Faults: []config.Fault{}, Warnings: append([]string{}, cfg.Warnings...)}
	var faulty *config.Error
	if errors.As(err, &faulty) {
		v.Faults = faulty.Faults
	}
	return v
}

// print writes faults as compilers do, which editors know: file:line:column: text.
func (v validity) print(w io.Writer) error {
	var b strings.Builder
	for _, f := range v.Faults {
		where := f.Where
		if f.Column > 0 {
			where += fmt.Sprintf(":%d", f.Column)
		}
		for _, part := range []string{where, f.Key} {
			if part != "" {
				b.WriteString(part + ": ")
			}
		}
		b.WriteString(f.Problem + "\n")
	}
	for _, warning := range v.Warnings {
		b.WriteString("warning: " + warning + "\n")
	}
	switch n := len(v.Faults); {
	case v.Valid && v.File != "":
		b.WriteString(v.File + " is valid\n")
	case v.Valid:
		b.WriteString("the configuration is valid; no file was read\n")
	case n == 1:
		b.WriteString("1 fault\n")
	default:
		fmt.Fprintf(&b, "%d faults\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the file, for editors",
		Long: `Print the JSON Schema (2020-12) of the file. Editors with the YAML language server take it
by the first line of binjet.yaml:

  # yaml-language-server: $schema=binjet.schema.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Flag("output").Value.Set(outputJSON) // it has no other form
			return emit(cmd, config.Schema(), nil)
		},
	}
}

// newConfigDocs is for the project itself: see go:generate.
func newConfigDocs() *cobra.Command {
	return &cobra.Command{
		Use: "docs", Short: "Print docs/configuration.md", Hidden: true, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Markdown())
			return failed(err)
		},
	}
}
