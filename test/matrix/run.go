package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

const natsModule = "github.com/nats-io/nats-server/v2"

// result is that of a run of go test.
type result struct {
	passed int      // tests and their parts
	failed []string // names
	took   time.Duration
	err    error // what says that it has not passed
}

// runNATS runs the tests with another version of the server built into them, and into
// the command that they build. The go.work that says so is a copy in a directory of its own.
func runNATS(ctx context.Context, version string, packages []string) result {
	dir, err := os.MkdirTemp("", "binjet-matrix-")
	if err != nil {
		return result{err: err}
	}
	defer os.RemoveAll(dir)
	work, err := workspace(dir, "..")
	if err != nil {
		return result{err: fmt.Errorf("run this in the directory test: %w", err)}
	}
	edit := exec.CommandContext(ctx, "go", "work", "edit", "-replace", natsModule+"="+natsModule+"@"+version, work)
	if out, err := edit.CombinedOutput(); err != nil {
		return result{err: fmt.Errorf("go work edit: %w: %s", err, out)}
	}
	return goTest(ctx, []string{"GOWORK=" + work}, packages)
}

// workspace copies the go.work of root, and what goes with it, into dir.
func workspace(dir, root string) (file string, err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"go.work", "go.work.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		// It names its modules as seen from its own directory.
		text = regexp.MustCompile(`(?m)^(\s*)\.(/\S+)?$`).ReplaceAll(text, []byte("${1}"+root+"${2}"))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "go.work"), nil
}

// goTest runs go test to its end, or to that of ctx.
func goTest(ctx context.Context, env, args []string) (r result) {
	begun := time.Now()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-json", "-timeout=0"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{err: err}
	}
	if err := cmd.Start(); err != nil {
		return result{err: err}
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		r.line(lines.Bytes())
	}
	r.err = errors.Join(lines.Err(), cmd.Wait(), context.Cause(ctx))
	if r.err == nil && r.passed == 0 {
		r.err = errors.New("no test was run")
	}
	r.took = time.Since(begun)
	return r
}

// line takes an event of go test -json; what a test says is shown.
func (r *result) line(text []byte) {
	var e struct{ Action, Package, Test, Output string }
	if json.Unmarshal(text, &e) != nil {
		fmt.Fprintf(os.Stderr, "%s\n", text)
		return
	}
	name := filepath.Base(e.Package) + "." + e.Test
	switch {
	case e.Action == "output" || e.Action == "build-output":
		fmt.Fprint(os.Stderr, e.Output)
	case e.Test == "": // a package
	case e.Action == "pass":
		r.passed++
	case e.Action == "fail":
		r.failed = append(r.failed, name)
	}
}
