package binjet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestModulesOfTheLibraries: what comes into the program of whoever imports a
// package, module by module. A new one is a decision, to be written here.
func TestModulesOfTheLibraries(t *testing.T) {
	nats := []string{"github.com/klauspost/compress", "github.com/nats-io/nats.go", "github.com/nats-io/nkeys", "github.com/nats-io/nuid", "golang.org/x/crypto", "golang.org/x/sys"}
	g := listPackages(t)
	for name, want := range map[string][]string{
		".":                     {},
		"producer":              {},
		"producer/codec":        {},
		"producer/producertest": {},
		"consumer/inbox":        nats,
		"consumer":              append([]string{"golang.org/x/time"}, nats...),
		"relay":                 nats,
	} {
		got := []string{}
		for _, p := range g.reach(g[strings.TrimSuffix(self+"/"+name, "/.")], func(q pkg) bool { return !q.Standard }) {
			if m := p.module(); m != self && !slices.Contains(got, m) {
				got = append(got, m)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s reaches %q, want %q", name, got, want)
		}
	}
}

// TestLicences: every module that is compiled into the command or a library has a
// licence that lets anybody use and ship it. What only tests need is not shipped.
func TestLicences(t *testing.T) {
	dirs := make(map[string]string)
	for _, p := range listPackages(t) {
		if m := p.Module; m != nil && m.Path != self {
			dirs[m.Path] = m.Dir
		}
	}
	if len(dirs) < 20 {
		t.Fatalf("only %d modules: %v", len(dirs), dirs)
	}
	for module, dir := range dirs {
		if _, err := licence(dir); err != nil {
			t.Errorf("%s: %v", module, err)
		}
	}
}

// licence is the one of a module, by the sentence that each kind has to hold.
func licence(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "LICEN[CS]E*"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no licence in %s", dir)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return "", err
	}
	words := strings.Join(strings.Fields(strings.ReplaceAll(string(text), ">", " ")), " ") // quoted by some
	for _, kind := range []struct{ name, sentence string }{
		{"Apache-2.0", "Apache License Version 2.0"},
		{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
		{"BSD", "Redistribution and use in source and binary forms, with or without modification, are permitted"},
		{"MPL-2.0", "Mozilla Public License Version 2.0"}, // asks for changes of its own files only
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
	} {
		if strings.Contains(words, kind.sentence) {
			return kind.name, nil
		}
	}
	return "", fmt.Errorf("%s is none of Apache-2.0, MIT, BSD, MPL-2.0 and ISC: look at it, and at what else does the same", files[0])
}

// The list of what is allowed is one: a file that says something else is refused.
func TestLicenceOfOthers(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n  Version 2.0, January 2004": "Apache-2.0",
		"GNU AFFERO GENERAL PUBLIC LICENSE":           "",
		"Business Source License 1.1":                 "",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "LICENSE.txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := licence(dir); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := licence(t.TempDir()); err == nil {
		t.Error("no licence is one")
	}
}

// notReleased are the modules whose versions are no releases: what asks for them, since
// none of them has one that would do. A new one is a decision, to be written here.
var notReleased = map[string]string{
	"github.com/antithesishq/antithesis-sdk-go": "nats-server; the version that does nothing",
	"github.com/munnerz/goautoneg":              "Prometheus's client; never released",
	"github.com/pingcap/errors":                 "go-mysql, which asks for this state",
	"github.com/pingcap/log":                    "go-mysql, which asks for this state",
	"github.com/pingcap/tidb/pkg/parser":        "go-mysql; never released",
	"google.golang.org/genproto/googleapis/api": "the OTLP exporter; never released",
	"google.golang.org/genproto/googleapis/rpc": "the OTLP exporter; never released",
}

// TestDependenciesAreReleases: what we ask for ourselves is a release, and nothing is
// replaced, which would not count for those who import this module, and would
// forbid to install the command by its version.
func TestDependenciesAreReleases(t *testing.T) {
	release := regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)
	required, unreleased := 0, make(map[string]bool)
	for line := range strings.Lines(read(t, "go.mod")) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if slices.Contains([]string{"replace", "exclude", "toolchain", "retract"}, words[0]) {
			t.Errorf("go.mod has a line %q", strings.TrimSpace(line))
		}
		if len(words) < 2 || !strings.HasPrefix(words[1], "v") {
			continue
		}
		required++
		if module := words[0]; !release.MatchString(strings.TrimSuffix(words[1], "+incompatible")) {
			unreleased[module] = true
			if notReleased[module] == "" || !strings.HasSuffix(line, "// indirect\n") {
				t.Errorf("%s %s is no release", module, words[1])
			}
		}
	}
	for module := range notReleased {
		if !unreleased[module] {
			t.Errorf("%s is a release by now, or gone", module)
		}
	}
	if required < 30 {
		t.Errorf("only %d modules were found", required)
	}
}
