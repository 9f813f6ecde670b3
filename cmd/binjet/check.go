package main

import "github.com/spf13/cobra"

func newCheck(process) *cobra.Command { return &cobra.Command{Use: "check"} }
