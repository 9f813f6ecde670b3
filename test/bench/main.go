package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if role := os.Getenv(roleEnv); role != "" {
		if err := runAs(role, os.Getenv(specEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o, os.Stdout, os.Stderr); err != nil {
		log.Fatal(err)
	}
}

// runAs is what this program does as a child.
func runAs(role, spec string) error {
	switch role {
	case "nats":
		return as(spec, func(n node) (any, error) { return nil, runNATS(n) })
	case "publish":
		return as(spec, runPublish)
	case "read":
		return as(spec, runRead)
	case "write":
		return as(spec, runWrite)
	case "handle":
		return as(spec, runHandle)
	}
	return fmt.Errorf("%s=%q is no role", roleEnv, role)
}

// as reads what a role is told, and writes what it found.
func as[T any](spec string, run func(T) (any, error)) error {
	var told T
	if err := json.Unmarshal([]byte(spec), &told); err != nil {
		return err
	}
	found, err := run(told)
	if err != nil || found == nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// part is one kind of measurement.
type part struct {
	name string
	run  func(ctx context.Context, w *world) error
}

func parts() []part {
	return []part{{"drain", drain}, {"latency", latency}, {"noise", noise}, {"huge", huge}, {"takeover", takeover}, {"peers", comparePeers}}
}

// measure runs the parts that were asked for and writes what they found.
func measure(ctx context.Context, o options, out, progress *os.File) error {
	w, err := newWorld(ctx, o, progress)
	if err != nil {
		return err
	}
	defer w.close()
	err = w.runParts(ctx)
	w.endLine()
	return errors.Join(err, w.report.write(out, o)) // what was measured before a failure counts, too
}

func (w *world) runParts(ctx context.Context) error {
	for _, p := range parts() {
		if len(w.opts.only) > 0 && !slices.Contains(w.opts.only, p.name) {
			continue
		}
		if err := p.run(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func partNames() string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}
