package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker: -X main.version=v1.2.3 -X main.commit=…. Without it the
// build information of the module and of the checkout is used.
var version, commit string

// build says what this binary was made from.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

func currentBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && b.Commit == "":
			b.Commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true" && commit == "":
			modified = " (modified)"
		}
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	b.Commit += modified
	return b
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := currentBuild()
			return emit(cmd, b, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "binjet  %s\ncommit  %s\ngo      %s\n", b.Version, b.Commit, b.Go)
				return err
			})
		},
	}
}
