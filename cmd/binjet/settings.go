package main

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
)

// addSettings gives cmd the flags of the configuration.
func addSettings(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringP("config", "c", "", "configuration file (default "+config.DefaultFile+" where it exists)")
	for _, k := range config.Keys() {
		if k.Flag == "" {
			continue
		}
		help := k.Help
		if k.Default != "" {
			help += " (default " + k.Default + ")"
		}
		flags.String(k.Flag, "", help)
		flags.Lookup(k.Flag).DefValue = "" // said in the text; not a second time by pflag
	}
	completeSettings(cmd)
}

// completeSettings completes the values of flags that are names on the broker, or
// one of a few words.
func completeSettings(cmd *cobra.Command) {
	for flag, complete := range map[string]completion{
		"stream": completeStreams(), "source-name": completeSources(),
		"log-level": completeFixed("debug", "info", "warn", "error"), "log-format": completeFixed("auto", "console", "json"),
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete) // it fails where there is no such flag
	}
}

// loadSettings reads the configuration that cmd's flags and the environment name.
func loadSettings(cmd *cobra.Command, environ []string) (config.Config, error) {
	return config.Load(settingsInput(cmd, environ))
}

// logWarnings says what works and is dangerous.
func logWarnings(log *slog.Logger, cfg config.Config) {
	for _, w := range cfg.Warnings {
		log.Warn("the configuration is dangerous", "warning", w)
	}
}

func settingsInput(cmd *cobra.Command, environ []string) config.Input {
	in := config.Input{Environ: environ, Flags: make(map[string]string)}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name == "config" {
			in.File = f.Value.String()
			return
		}
		if slices.ContainsFunc(config.Keys(), func(k config.Key) bool { return k.Flag == f.Name }) {
			in.Flags[f.Name] = f.Value.String()
		}
	})
	return in
}

// noArguments refuses arguments in words that name them.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), args)
	}
	return nil
}

// newConfigurationTopic is `binjet help configuration`: every key, from the table
// that the configuration is read by.
func newConfigurationTopic() *cobra.Command {
	return &cobra.Command{Use: "configuration", Short: "Every key of the configuration", Long: config.Help()}
}
