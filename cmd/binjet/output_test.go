package main

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/bench"
	"github.com/binjet/binjet/cmd/binjet/internal/event"
	"github.com/binjet/binjet/cmd/binjet/internal/status"
	"github.com/binjet/binjet/cmd/binjet/internal/verify"
	"github.com/binjet/binjet/internal/natstest"
)

var update = flag.Bool("update", false, "write testdata/output.golden anew")

// results are what each command prints as JSON.
func results() map[string]any {
	return map[string]any{
		"bench": bench.Report{}, "check": checkReport{}, "config print": effective{}, "config validate": validity{},
		"dev": devReport{}, "dlq drop": letterResult{}, "dlq list": letter{}, "dlq replay": letterResult{}, "dlq show": letter{},
		"init": initStep{}, "position export": saved{}, "position import": saved{}, "position set": setResult{}, "position show": store.Copy{},
		"prune": pruneResult{}, "schema down": initStep{}, "schema print": []tableSQL{}, "schema up": initStep{}, "schema validate": schemaReport{},
		"status": status.Report{}, "tail": event.Event{}, "verify": verify.Report{}, "version": build{},
	}
}

// other commands print no result, or one of another kind: a JSON Schema, files, an exit code.
var withoutResult = []string{"config docs", "config schema", "healthcheck", "help", "help configuration", "configuration", "man", "run",
	"completion bash", "completion fish", "completion powershell", "completion zsh"}

// TestOutputShapes: the fields of every command's JSON are those of testdata/output.golden,
// so that what scripts read does not change unseen. -update writes it anew.
func TestOutputShapes(t *testing.T) {
	shapes := results()
	for _, name := range commands(newRoot(process{}), "") {
		if _, ok := shapes[name]; !ok && !slices.Contains(withoutResult, name) {
			t.Errorf("binjet %s is neither in results nor in withoutResult", name)
		}
	}
	var b strings.Builder
	names := make([]string, 0, len(shapes))
	for name := range shapes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s\n", name)
		shape(&b, reflect.TypeOf(shapes[name]), "  ", nil)
	}
	const file = "testdata/output.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Errorf("the fields are not those of %s (%v): where that is meant, tell CHANGELOG.md of it and run go test ./cmd/binjet -run OutputShapes -update", file, err)
	}
}

func commands(c *cobra.Command, prefix string) (names []string) {
	for _, sub := range c.Commands() {
		name := strings.TrimSpace(prefix + " " + sub.Name())
		if sub.Runnable() && !sub.HasSubCommands() {
			names = append(names, name)
		}
		names = append(names, commands(sub, name)...)
	}
	return names
}

// shape lists the fields of a type as JSON has them.
func shape(b *strings.Builder, t reflect.Type, indent string, within []reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || textual(t) || slices.Contains(within, t) {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			shape(b, f.Type, indent, append(within, t))
			continue
		case name == "":
			name = f.Name
		}
		fmt.Fprintf(b, "%s%s %s", indent, name, kind(f.Type))
		if strings.HasPrefix(options, "omit") {
			b.WriteString("?")
		}
		b.WriteString("\n")
		shape(b, f.Type, indent+"  ", append(within, t))
	}
}

// textual types are written by themselves.
func textual(t reflect.Type) bool {
	_, asText := reflect.New(t).Interface().(encoding.TextMarshaler)
	_, asJSON := reflect.New(t).Interface().(json.Marshaler)
	return asText || asJSON
}

func kind(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return kind(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return "list of " + kind(t.Elem())
	case t.Kind() == reflect.Map:
		return "object of " + kind(t.Elem())
	case t.Name() != "" && textual(t):
		return t.Name()
	case t.Kind() == reflect.Struct:
		return "object"
	}
	return t.Kind().String()
}

// check says what it found on each side as JSON, also of one that is down.
func TestCheckJSON(t *testing.T) {
	ns := natstest.Start(t)
	code, out, errs := do([]string{"BINJET_SOURCE_DSN=app:x@tcp(127.0.0.1:1)/shop", "BINJET_NATS_URL=" + ns.URL()}, "check", "-o", "json")
	var report checkReport
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&report); err != nil || dec.More() || code != exitFailure {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	down, server := report.Source.Checks[0], report.Stream.Checks[0]
	if report.Source.Name != "shop" || report.Source.At != "127.0.0.1:1" || down.Name != "connection" || down.OK || down.Fix == "" || !server.OK ||
		report.Failed < 1 || report.Checks != len(report.Source.Checks)+len(report.Stream.Checks) {
		t.Errorf("%+v", report)
	}
}

// init prints a line for each step, so that a later failure does not hide them.
func TestInitJSON(t *testing.T) {
	root, out := newRoot(process{}), new(bytes.Buffer)
	cmd, _, err := root.Find([]string{"init"})
	if err == nil {
		err = cmd.ParseFlags([]string{"-o", "json"})
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.SetOut(out)
	r := &initReport{cmd: cmd}
	for _, existed := range []bool{false, true} {
		if err := r.done("stream", "OUTBOX", madeOr(existed)); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{"kind":"stream","name":"OUTBOX","result":"created"}` + "\n" + `{"kind":"stream","name":"OUTBOX","result":"exists"}` + "\n"
	if out.String() != want {
		t.Errorf("%s", out)
	}
}
