package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is what stands between two fences of a page.
type block struct {
	page, lang, text string
	line             int // of its first line in the page
}

// pages are the README and all of docs/, by their names below the project's root.
func pages(t *testing.T) map[string][]block {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	must(t, err)
	all := make(map[string][]block)
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		must(t, err)
		page, err := filepath.Rel("../..", file)
		must(t, err)
		all[filepath.ToSlash(page)] = blocksOf(filepath.ToSlash(page), string(text))
	}
	if len(all) < 15 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

var fence = regexp.MustCompile("^( *)```(\\w*)$")

func blocksOf(page, text string) (list []block) {
	var open *block
	indent := ""
	for n, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m == nil && open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case m != nil && open == nil:
			open, indent = &block{page: page, lang: m[2], line: n + 2}, m[1]
		case m != nil:
			list, open = append(list, *open), nil
		}
	}
	return list
}

// commands are those of a shell's block, without comments; one that goes on behind a
// backslash is one.
func (b block) commands() (list []string) {
	text := strings.ReplaceAll(b.text, "\\\n", "")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " # ")
		if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// statements are those of a block of SQL, without comments.
func (b block) statements() (list []string) {
	text := regexp.MustCompile(`--.*`).ReplaceAllString(b.text, "")
	for statement := range strings.SplitSeq(text, ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			list = append(list, statement)
		}
	}
	return list
}

// claim says who runs what TestPages does not: the file that it names holds the words.
type claim struct {
	page    string         // or a pattern of pages
	command *regexp.Regexp // all of it
	file    string
	words   string // in that file
	why     string
}

func exactly(s string) *regexp.Regexp { return regexp.MustCompile("^" + regexp.QuoteMeta(s) + "$") }

// elsewhere is the whole list of exceptions.
var elsewhere = []claim{
	{"README.md", exactly("make demo"), ".ci/run", "(make demo && ", "a step of CI of its own"},
	{"README.md", exactly("make test"), ".ci/run", "\nmake test\n", "it runs this"},
	{"README.md", exactly("binjet dev"), "test/dev/dev_test.go", `[]string{"dev", "-o", "json", "--http-listen", "127.0.0.1:0"}`, "on a free port in place of 9188"},
	{"docs/operating.md", exactly("binjet dev"), "test/dev/dev_test.go", `[]string{"dev", "-o", "json", "--http-listen", "127.0.0.1:0"}`, "on a free port in place of 9188"},
	{"docs/containers.md", exactly("docker compose up"), "test/compose/world_test.go", `w.compose("up", "-d", "--no-build")`, "a container engine: make test-containers"},
	{"docs/containers.md", exactly("docker compose down -v"), "test/compose/world_test.go", `"down", "-v"`, "a container engine"},
	{"docs/containers.md", exactly("docker compose exec binjet-1 /binjet healthcheck"), "docker-compose.yml", `["CMD", "/binjet", "healthcheck"]`, "the containers' own health check, for which test/compose waits"},
	{"docs/containers.md", exactly("docker compose kill -s KILL binjet-1"), "test/compose/compose_test.go", `w.docker("kill", "-s", "KILL"`, "a container engine"},
	{"docs/containers.md", exactly("docker compose stop binjet-2"), "test/compose/compose_test.go", `w.docker("stop", "-t", "20"`, "a container engine"},
	{"docs/containers.md", regexp.MustCompile(`^docker compose exec db mysql .* 'SELECT COUNT\(\*\), COUNT\(DISTINCT order_id\) FROM invoices'$`), "test/compose/compose_test.go", "SELECT order_id FROM invoices", "a container engine"},
	{"docs/containers.md", exactly("make image"), "test/containers.sh", "make -s image", "a container engine"},
	{"docs/containers.md", exactly("export $(deploy/local-images/build.sh)"), "test/containers.sh", "deploy/local-images/build.sh", "a container engine"},
	{"docs/containers.md", exactly("export $(deploy/local-images/build.sh prometheus compose)"), "test/containers.sh", "deploy/local-images/build.sh mysql mariadb nats prometheus compose", "a container engine"},
	{"docs/containers.md", exactly("$BINJET_COMPOSE_V2 --profile monitoring up --no-build prometheus"), "test/compose/prometheus_test.go", `w.compose("up", "-d", "--no-build", "prometheus")`, "a container engine"},
	{"docs/containers.md", exactly("docker-compose up --no-build"), "test/compose/world_test.go", `w.compose("up", "-d", "--no-build")`, "a container engine"},
	{"docs/containers.md", exactly("BINJET_TEST_BACKEND=containers make integration"), "test/containers.sh", "BINJET_TEST_BACKEND=containers go_on", "a container engine, and a part of the tests"},
	{"docs/compatibility.md", regexp.MustCompile(`^make test-matrix`), "Makefile", "\ntest-matrix:", "runs the tests again, on each version"},
	{"docs/compatibility.md", regexp.MustCompile(`^BINJET_TEST_MYSQL_ADDR=.* make test-given$`), "Makefile", "\ntest-given:", "a server of the reader's own"},
	{"docs/schema.md", regexp.MustCompile(`^atlas migrate diff .*`), "docs/schema.md", "binjet schema print > schema/outbox.sql", "a program of others, which wants a container engine; what it is given is made here"},
	{"docs/performance.md", regexp.MustCompile(`^(make|go|binjet) .*`), "Makefile", "\nbench", "measures for minutes"},
	{"docs/security.md", regexp.MustCompile(`^(CREATE USER|GRANT) `), "test/security/accounts_test.go", "docs/security.md", "with nothing but these rights"},
	{"docs/existing-tables.md", regexp.MustCompile(`^(ALTER TABLE|UPDATE) outbox `), "test/mapping/polling_test.go", "docs/existing-tables.md", "behind rows without an ID"},
}

// claimed is whether another test runs the command.
func claimed(page, command string, used map[int]bool) bool {
	for i, c := range elsewhere {
		if c.page == page && c.command.MatchString(command) {
			used[i] = true
			return true
		}
	}
	return false
}

// TestElsewhere: who is said to run a command of the docs has it, and every command of
// the docs is run, here or there.
func TestElsewhere(t *testing.T) {
	used := make(map[int]bool)
	all := pages(t)
	for page, blocks := range all {
		_, here := scripts[page]
		for _, b := range blocks {
			for _, c := range b.toRun() {
				if !claimed(page, c, used) && !here {
					t.Errorf("%s:%d: nothing runs %s", page, b.line, c)
				}
			}
		}
	}
	for i, c := range elsewhere {
		if _, is := all[c.page]; !is {
			continue // not written yet, or no more
		}
		if text, err := os.ReadFile("../../" + c.file); err != nil || !strings.Contains(string(text), c.words) {
			t.Errorf("%s %s: there is no %s in %s (%v)", c.page, c.command, c.words, c.file, err)
		}
		if !used[i] || c.why == "" {
			t.Errorf("%s has no command %s any more, or there is no reason", c.page, c.command)
		}
	}
	for page := range scripts {
		if _, is := all[page]; !is {
			t.Errorf("there is no %s", page)
		}
	}
}

// toRun is what of a block is meant to be run: a shell's commands, those of a session
// that is shown, and statements.
func (b block) toRun() (list []string) {
	switch b.lang {
	case "sh", "bash":
		return b.commands()
	case "sql":
		return b.statements()
	case "console":
		for line := range strings.Lines(b.text) {
			if command, is := strings.CutPrefix(line, "$ "); is {
				list = append(list, strings.TrimSpace(command))
			}
		}
	}
	return list
}

// TestFences: every block says what it is, so that none with commands is passed over.
func TestFences(t *testing.T) {
	known := []string{"sh", "sql", "console", "text", "yaml", "json", "go"}
	command := regexp.MustCompile(`(?m)^\$? ?(binjet|make|docker|curl|nats|kubectl) [a-z]`)
	for page, blocks := range pages(t) {
		for _, b := range blocks {
			if b.lang != "" && !slices.Contains(known, b.lang) {
				t.Errorf("%s:%d: %q is none of %s", page, b.line, b.lang, known)
			}
			if len(b.toRun()) == 0 && b.lang != "yaml" && b.lang != "go" && command.MatchString(b.text) {
				t.Errorf("%s:%d: commands in a block of %q", page, b.line, b.lang)
			}
		}
	}
}
