//go:build nodev

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newDev of a build for production, which carries no nats-server.
func newDev(process) *cobra.Command {
	return &cobra.Command{
		Use:                "dev",
		Short:              "Run all that development needs (not in this build)",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return failed(advise(errors.New("this build of binjet is for production, and was made without dev (-tags nodev)"),
				"go install github.com/binjet/binjet/cmd/binjet@latest"))
		},
	}
}
