package main

import (
	"fmt"
	"slices"
	"strings"

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
}

// loadSettings reads the configuration that cmd's flags and the environment name.
func loadSettings(cmd *cobra.Command, environ []string) (config.Config, error) {
	return config.Load(settingsInput(cmd, environ))
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
	var b strings.Builder
	fmt.Fprintf(&b, `A value is taken from the first of these that sets it: a flag, an environment
variable, the YAML file (-c, %s, or ./%s), the default.

The variable of a key is its name in upper case: source.dsn is BINJET_SOURCE_DSN.
Lists are separated by commas. Durations are written as 500ms, 2s or 1m, sizes as
16MiB. Unknown keys and unknown BINJET_ variables are errors, but for those that
begin with BINJET_TEST_, BINJET_DEMO_, BINJET_MYSQL_ or BINJET_MARIADB_, and those that
Kubernetes makes up for services (BINJET_SERVICE_HOST, BINJET_PORT, …).

`, config.FileEnv, config.DefaultFile)
	for _, k := range config.Keys() {
		fmt.Fprintf(&b, "  %s", k.Name)
		if k.Default != "" {
			fmt.Fprintf(&b, " (default %s)", k.Default)
		}
		if k.Flag != "" {
			fmt.Fprintf(&b, ", --%s", k.Flag)
		}
		fmt.Fprintf(&b, "\n      %s\n", k.Help)
	}
	return &cobra.Command{Use: "configuration", Short: "Every key of the configuration", Long: strings.TrimRight(b.String(), "\n")}
}
