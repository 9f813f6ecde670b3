package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Forms of a command's result. Errors and progress go to standard error and are
// text in both.
const (
	outputText = "text"
	outputJSON = "json"
)

// addOutput gives every command below root the choice of the form.
func addOutput(root *cobra.Command) {
	root.PersistentFlags().StringP("output", "o", outputText, "form of the result: text, or json for programs")
	_ = root.RegisterFlagCompletionFunc("output", completeFixed(outputText, outputJSON))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		_, err := wantsJSON(cmd)
		return err
	}
}

func wantsJSON(cmd *cobra.Command) (bool, error) {
	switch form := cmd.Flag("output").Value.String(); form {
	case outputText:
		return false, nil
	case outputJSON:
		return true, nil
	default:
		return false, fmt.Errorf("--output %q is neither text nor json", form)
	}
}

// emit prints a result: as one JSON document, indented, or by text for people. A
// command that prints many, such as a tail, calls emitLine for each.
func emit(cmd *cobra.Command, result any, text func(io.Writer) error) error {
	return emitTo(cmd, result, text, "  ")
}

// emitLine is emit with one JSON document per line.
func emitLine(cmd *cobra.Command, result any, text func(io.Writer) error) error {
	return emitTo(cmd, result, text, "")
}

func emitTo(cmd *cobra.Command, result any, text func(io.Writer) error, indent string) error {
	asJSON, err := wantsJSON(cmd)
	if err != nil {
		return err
	}
	if !asJSON {
		return failed(text(cmd.OutOrStdout()))
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", indent)
	enc.SetEscapeHTML(false)
	return failed(enc.Encode(result))
}
