package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan is for whoever packages binjet, and so not in the help.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages of all commands into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return failed(fmt.Errorf("create the directory of the man pages: %w", err))
			}
			header := &doc.GenManHeader{Section: "1", Source: "binjet " + currentBuild().Version, Manual: "binjet"}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same source gives the same pages
			return failed(doc.GenManTree(root, header, args[0]))
		},
	}
}
