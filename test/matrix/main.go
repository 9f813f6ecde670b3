// Command matrix runs a part of the integration tests on each version of the databases
// and of NATS that binjet is meant for, as far as these are to be had on this machine,
// and prints a table of what was run; docs/compatibility.md has the last one.
//
// A database comes from where package dbserver finds one: a program, an image that is
// here, or this machine's package mirror. The NATS server is a Go module, built into the
// tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

func main() {
	only := flag.String("only", "", "cells whose names contain this: \"MariaDB\", \"NATS 2.12\"")
	packages := flag.String("packages", "./faults ./order ./produce", "what is run in each cell")
	timeout := flag.Duration("timeout", 30*time.Minute, "of a cell")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var rows []row
	for _, c := range cells() {
		if !strings.Contains(c.name(), *only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "== %s\n", c.name())
		r := c.run(ctx, strings.Fields(*packages), *timeout)
		fmt.Fprintln(os.Stderr, r)
		rows = append(rows, r)
	}
	if !printTable(rows) || ctx.Err() != nil {
		os.Exit(1)
	}
}

// cell is one version of one server.
type cell struct {
	flavor  dbserver.Flavor // "" is NATS
	version string          // a series of the database's, or the version of the module
}

// cells: the newest of each series of NATS when this was written; there was no 2.13.
func cells() []cell {
	return []cell{
		{dbserver.MySQL, "8.0"}, {dbserver.MySQL, "8.4"}, {dbserver.MySQL, "9"},
		{dbserver.MariaDB, "10.11"}, {dbserver.MariaDB, "11"},
		{"", "v2.12.15"}, {"", "v2.14.9"}, {"", "v2.15.2"},
	}
}

func (c cell) name() string {
	if c.flavor == "" {
		return "NATS " + strings.TrimPrefix(c.version, "v")
	}
	return c.flavor.String() + " " + c.version
}

// row is what became of a cell.
type row struct {
	cell
	exact  string // the version that was run
	absent error  // why it is not to be had
	result
}

func (c cell) run(ctx context.Context, packages []string, timeout time.Duration) row {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done after %v", timeout))
	defer cancel()
	if c.flavor == "" {
		r := row{cell: c, exact: strings.TrimPrefix(c.version, "v")}
		r.result = runNATS(ctx, c.version, packages)
		return r
	}
	exact, err := probe(ctx, c)
	if err != nil {
		return row{cell: c, absent: err}
	}
	variable := "BINJET_TEST_" + strings.ToUpper(string(c.flavor)) + "_VERSION=" + c.version
	// A test that is not divided by flavour is run as it is.
	args := append([]string{"-run", "Test/(?i)^" + string(c.flavor)}, packages...)
	return row{cell: c, exact: exact, result: goTest(ctx, []string{variable}, args)}
}

// probe starts the server once.
func probe(ctx context.Context, c cell) (version string, err error) {
	s, err := dbserver.Start(ctx, dbserver.Options{Flavor: c.flavor, Version: c.version,
		Progress: func(line string) { fmt.Fprintln(os.Stderr, line) }})
	var unavailable *dbserver.UnavailableError
	if errors.As(err, &unavailable) {
		for _, a := range unavailable.Tried {
			fmt.Fprintf(os.Stderr, "%s: %v\n", a.Source, a.Err)
		}
		return "", unavailable.Tried[len(unavailable.Tried)-1].Err
	}
	if err != nil {
		return "", err
	}
	return s.Version(), s.Close()
}

// printTable reports whether all that was run has passed.
func printTable(rows []row) (ok bool) {
	ok = true
	fmt.Println("| server | version that was run | tests | time | result |")
	fmt.Println("|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Println(r)
		ok = ok && (r.absent != nil || r.err == nil)
	}
	return ok
}

// String is a line of the table.
func (r row) String() string {
	if r.absent != nil {
		why, _, _ := strings.Cut(r.absent.Error(), "\n")
		return fmt.Sprintf("| %s | | | | not run: not to be had on this machine (%s) |", r.name(), why)
	}
	result := "passed"
	if r.err != nil {
		result = "FAILED: " + strings.Join(r.failed, ", ")
		if len(r.failed) == 0 {
			result = "FAILED: " + r.err.Error()
		}
	}
	return fmt.Sprintf("| %s | %s | %d | %s | %s |", r.name(), r.exact, r.passed, r.took.Round(time.Second), result)
}
