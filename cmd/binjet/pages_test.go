package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandsThatAreNamed: what the pages name in passing, as `binjet prune --dry-run`
// and `make test`, has such commands, flags and targets. So has what stands in blocks of
// commands; most of those are run, too, by test/cli.
func TestCommandsThatAreNamed(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	must(t, err)
	targets, named := readFile(t, "../../Makefile"), 0
	span := regexp.MustCompile("`(?:[A-Z_]+=\\S+ )?(binjet|make) ([^`]+)`")
	block := regexp.MustCompile(`(?m)^ *(binjet|make) ([^#|>\n]+)`)
	for _, page := range append(pages, "../../README.md") {
		text := readFile(t, page)
		commands := span.FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1)
		for n, fenced := range strings.Split(text, "```") {
			if lang, lines, _ := strings.Cut(fenced, "\n"); n%2 == 1 && lang == "sh" {
				commands = append(commands, block.FindAllStringSubmatch(strings.ReplaceAll(lines, "\\\n", ""), -1)...)
			}
		}
		for _, m := range commands {
			if strings.HasPrefix(m[2], "outbox v") {
				continue // the comment of a table
			}
			named++
			if m[1] == "make" {
				if target, _, _ := strings.Cut(m[2], " "); !strings.Contains(targets, "\n"+target+":") {
					t.Errorf("%s: the Makefile has no target for %s", page, m[0])
				}
				continue
			}
			for _, lack := range lacks(m[2]) {
				t.Errorf("%s: %s: there is no %s", page, m[0], lack)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d were found", named)
	}
}

var (
	commandWord = regexp.MustCompile(`^[a-z][a-z|]*$`)
	flagWord    = regexp.MustCompile(`--[a-z-]+`)
)

// lacks are the commands and flags of a line that the program does not have. Several
// commands may be named at once: run|check.
func lacks(line string) (list []string) {
	root := newRoot(process{})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	at := root
	for _, word := range strings.Fields(line) {
		if !commandWord.MatchString(word) {
			if strings.HasPrefix(word, "-") || strings.ContainsAny(word, "/.") && at == root {
				continue // a flag, or its value
			}
			break
		}
		var next *cobra.Command
		for name := range strings.SplitSeq(word, "|") {
			if next = child(at, name); next == nil && at.HasSubCommands() {
				list = append(list, "command "+name)
			}
		}
		if next == nil {
			break // an argument
		}
		at = next
	}
	for _, flag := range flagWord.FindAllString(line, -1) {
		if at.Flag(flag[2:]) == nil {
			list = append(list, "flag "+flag)
		}
	}
	return list
}

func child(of *cobra.Command, name string) *cobra.Command {
	for _, c := range of.Commands() {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// TestLacks: a command or a flag that is not there is found, below others too.
func TestLacks(t *testing.T) {
	for line, want := range map[string]string{
		"prune --older-than 168h --dry-run":       "",
		"-c .binjet/binjet.yaml status":           "",
		"run|check|verify":                        "",
		"run|chek":                                "command chek",
		"position sat latest":                     "command sat",
		"position set latest --reason x":          "",
		"dlq list --newest":                       "flag --newest",
		"run --accept-loss=<that set>":            "",
		"help configuration":                      "",
		"schema validate --variant … --no-such x": "flag --no-such",
	} {
		if got := strings.Join(lacks(line), ", "); got != want {
			t.Errorf("binjet %s: %q, want %q", line, got, want)
		}
	}
}
