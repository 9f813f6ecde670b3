package binjet_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGuaranteesNameTestsThatExist: a promise whose proof was renamed or removed
// is a promise without proof.
func TestGuaranteesNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		all.Write(src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(page), -1)
	if len(names) < 20 {
		t.Fatalf("only %d tests are named", len(names))
	}
	for _, name := range names {
		if !strings.Contains(all.String(), "func "+name+"(t *testing.T)") {
			t.Errorf("docs/guarantees.md names %s, which does not exist", name)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRunbookHasASectionForEachAlert: whoever is woken finds what to do, and no section
// is of an alert that was renamed.
func TestRunbookHasASectionForEachAlert(t *testing.T) {
	rules, runbook := read(t, "deploy/prometheus/alerts.yaml"), read(t, "docs/runbook.md")
	var alerts []string
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		alerts = append(alerts, m[1])
		if !strings.Contains(runbook, "\n### "+m[1]+"\n") {
			t.Errorf("docs/runbook.md has no section %s", m[1])
		}
		if !strings.Contains(rules, "/docs/runbook.md#"+strings.ToLower(m[1])+"\n") {
			t.Errorf("alert %s does not point to its section", m[1])
		}
	}
	if len(alerts) < 20 {
		t.Fatalf("only %d alerts were found", len(alerts))
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Binjet\w+)$`).FindAllStringSubmatch(runbook, -1) {
		if !slices.Contains(alerts, m[1]) {
			t.Errorf("docs/runbook.md has a section %s, and there is no such alert", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(#([\w-]+)\)`).FindAllStringSubmatch(runbook, -1) {
		if !slices.Contains(anchors(runbook), m[1]) {
			t.Errorf("docs/runbook.md points to #%s, which is no section", m[1])
		}
	}
}

// anchors are what GitHub makes of the headings.
func anchors(page string) (list []string) {
	drop := regexp.MustCompile(`[^\w -]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		list = append(list, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return list
}

// TestRunbookNamesEachHalt: by the words that the log has.
func TestRunbookNamesEachHalt(t *testing.T) {
	runbook := read(t, "docs/runbook.md")
	halts := regexp.MustCompile(`(?m)^var Err\w+ = constError\("(.+)"\)$`).FindAllStringSubmatch(read(t, "binlog/halt.go"), -1)
	if len(halts) < 7 {
		t.Fatalf("only %d were found", len(halts))
	}
	for _, m := range halts {
		if !strings.Contains(runbook, "`"+m[1]+"`") {
			t.Errorf("docs/runbook.md does not say what to do about %q", m[1])
		}
	}
}

// TestMetricsThatAreNamedExist: docs/metrics.md is compared with the registries
// elsewhere; here everything else is with it.
func TestMetricsThatAreNamedExist(t *testing.T) {
	known := read(t, "docs/metrics.md")
	series := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, file := range []string{"docs/runbook.md", "deploy/prometheus/alerts.yaml", "deploy/grafana/binjet.json", "README.md"} {
		names := regexp.MustCompile(`\bbinjet_[a-z0-9_]+`).FindAllString(read(t, file), -1)
		if len(names) == 0 {
			t.Errorf("%s names none", file)
		}
		for _, name := range names {
			if !strings.Contains(known, "\n| `"+name+"` |") && !strings.Contains(known, "\n| `"+series.ReplaceAllString(name, "")+"` | histogram ") {
				t.Errorf("%s names %s, which is no metric", file, name)
			}
		}
	}
}

// TestDashboard: it is JSON that Grafana takes, and each panel asks something.
func TestDashboard(t *testing.T) {
	var board struct {
		UID, Title string
		Panels     []struct {
			ID          int
			Type, Title string
			Targets     []struct{ Expr string }
			GridPos     struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/binjet.json")), &board); err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]bool)
	for _, p := range board.Panels {
		if seen[p.ID] || p.Title == "" || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && (len(p.Targets) == 0 || p.Targets[0].Expr == "") {
			t.Errorf("panel %d %q: %+v", p.ID, p.Title, p)
		}
		seen[p.ID] = true
	}
	if board.UID != "binjet" || len(seen) < 20 {
		t.Errorf("%s: %d panels", board.UID, len(seen))
	}
}

// TestReadmeLinksEveryPage: a page that nobody is led to is not read. Nor is one that
// is not there.
func TestReadmeLinksEveryPage(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, m := range regexp.MustCompile(`\]\(([a-z][^)#: ]*)\)`).FindAllStringSubmatch(string(readme), -1) {
		linked[m[1]] = true
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("README.md links %s: %v", m[1], err)
		}
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if !linked[filepath.ToSlash(page)] {
			t.Errorf("README.md does not link %s", page)
		}
	}
}
