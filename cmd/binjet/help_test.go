package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManPages: each command that the help lists has a page.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := do(nil, "man", dir); code != 0 {
		t.Fatal(errs)
	}
	root := newRoot(process{})
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if page := readFile(t, filepath.Join(dir, "binjet-"+c.Name()+".1")); !strings.Contains(page, c.Short) && !strings.Contains(page, ".SH DESCRIPTION") {
			t.Errorf("%s:\n%s", c.Name(), page)
		}
	}
}

// TestEveryCommandIsInAGroup: the help has no heap of others.
func TestEveryCommandIsInAGroup(t *testing.T) {
	for _, c := range newRoot(process{}).Commands() {
		if c.IsAvailableCommand() && c.GroupID == "" {
			t.Errorf("%s is in none: add it by add(root, group…, …)", c.Name())
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}
