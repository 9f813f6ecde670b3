package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // something failed that may work the next time
	exitUsage   = 2 // bad usage or configuration
	exitHalted  = 3 // going on would break a promise: an operator must decide
)

// commandError is an error of a command, as opposed to one of its usage.
type commandError struct {
	err  error
	told bool // the user has been told already, in a log or a report
}

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// failed marks err as one of the command; nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	var already *commandError
	if errors.As(err, &already) {
		return err
	}
	return &commandError{err: err}
}

// toldFailure is a failure that needs no further words.
func toldFailure(err error) error { return &commandError{err: err, told: true} }

// adviceError is an error and what to do about it.
type adviceError struct {
	what error
	next string
}

func advise(err error, next string) error { return &adviceError{what: err, next: next} }

func (e *adviceError) Error() string { return fmt.Sprintf("%v\n  next: %s", e.what, e.next) }
func (e *adviceError) Unwrap() error { return e.what }

// exitCode is the process's answer to err. What is not marked by [failed] comes
// from cobra: unknown commands, flags and arguments.
func exitCode(err error) int {
	var halted *checkpoint.HaltError
	var faulty *config.Error
	var command *commandError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &halted):
		return exitHalted
	case errors.As(err, &faulty):
		return exitUsage
	case errors.As(err, &command):
		return exitFailure
	}
	return exitUsage
}

// report prints err once, unless the user knows it already.
func report(w io.Writer, err error, commandPath string) {
	var command *commandError
	switch {
	case err == nil || errors.As(err, &command) && command.told:
	case command == nil:
		fmt.Fprintf(w, "binjet: %s\nRun '%s --help' for usage.\n", withoutValues(err.Error()), commandPath)
	default:
		fmt.Fprintf(w, "binjet: %v\n", err)
	}
}

// withoutValues hides what may be a DSN or the value of a flag that was misspelled
// ("-dsn=…") in an error of usage: these end up in the logs of whoever starts us.
func withoutValues(text string) string {
	return regexp.MustCompile(`\S*@\S*|(--?[\w-]+)=\S+`).ReplaceAllStringFunc(text, func(word string) string {
		if name, _, isFlag := strings.Cut(word, "="); isFlag && strings.HasPrefix(name, "-") {
			return name + "=[hidden]"
		}
		return "[hidden]"
	})
}
