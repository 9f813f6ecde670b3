// Command quickstart shows binjet at work, and kills it while it does.
//
// The two services in it are what your code would be: writer.go inserts events
// in the transaction that changes orders, reader.go handles them. All else is the
// show: a throw-away database and broker (servers.go), `binjet run` as a child
// process (streamer.go) that is killed under load (killer.go), a live view
// (view.go), and at the end a comparison of all there is in the outbox table, on
// the stream and in the reader's table (collect.go, check.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit code: 0 only if the promise held.
func run(args []string) int {
	s, err := parseSettings(args, os.Getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it the hard way
	v, err := play(ctx, s, newView(os.Stdout))
	switch {
	case ctx.Err() != nil:
		if left := (leftError{}); errors.As(err, &left) {
			fmt.Fprintln(os.Stderr, "\ndemo: interrupted;", left)
		} else {
			fmt.Fprintln(os.Stderr, "\ndemo: interrupted; everything is stopped and removed")
		}
		return 130 // what a shell says of a command that Ctrl-C ended
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	fmt.Println(v)
	if !v.ok() {
		return 1
	}
	return 0
}
