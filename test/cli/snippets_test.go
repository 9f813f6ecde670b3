package cli

import (
	"encoding/json"
	"fmt"
	"go/format"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// packages are what the Go of the pages imports, by the names that it uses.
var packages = map[string]string{
	"context": "context", "sql": "database/sql", "time": "time", "testing": "testing",
	"binjet": "github.com/binjet/binjet", "producer": "github.com/binjet/binjet/producer", "codec": "github.com/binjet/binjet/producer/codec",
	"producerotel": "github.com/binjet/binjet/producer/producerotel", "consumer": "github.com/binjet/binjet/consumer",
	"consumerotel": "github.com/binjet/binjet/consumer/consumerotel", "consumertest": "github.com/binjet/binjet/consumer/consumertest",
	"inbox": "github.com/binjet/binjet/consumer/inbox", "jetstream": "github.com/nats-io/nats.go/jetstream", "gorm": "gorm.io/gorm",
}

// given is what the pages take for granted. A block that says gorm has its db.
const given = `
type Order struct{ ID string; Amount int }
type Business struct{ Remark string }

var (
	ctx context.Context
	t *testing.T
	js jetstream.JetStream
	orderID, remark string
	body []byte
	order Order
	business Business
	handler consumer.Handler
	msgs []*consumer.Message
	outbox *producer.Producer
)
`

// TestSnippets: the Go of the pages compiles as it stands, but for variables that it
// shows and does not use; a line of … is what the reader has.
func TestSnippets(t *testing.T) {
	var functions strings.Builder
	found := 0
	all := pages(t)
	for _, page := range slices.Sorted(maps.Keys(all)) {
		for _, b := range all[page] {
			if b.lang == "go" {
				found++
				fmt.Fprintf(&functions, "\n%s", b.function())
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d blocks were found", found)
	}
	for _, complaint := range compile(t, given+functions.String()) {
		if !strings.Contains(complaint, "declared and not used") {
			t.Error(complaint)
		}
	}
}

// function is the block as one whose lines have the numbers that they have on the page.
func (b block) function() string {
	db := "*sql.DB"
	if strings.Contains(b.text, "gorm.") {
		db = "*gorm.DB"
	}
	text := regexp.MustCompile(`(?m)^…$`).ReplaceAllString(b.text, "")
	// Setting up for two parts at once, each with a cfg of its own.
	text = strings.ReplaceAll(text, "\n\ncfg := ", "\n\n}\n{ cfg := ")
	name := regexp.MustCompile(`\W`).ReplaceAllString(b.page, "_")
	declared := "var c *consumer.Consumer; var err error; _, _ = c, err"
	return fmt.Sprintf("func _%s_%d(db %s) { %s\n{\n//line %s:%d\n%s\n}}\n", name, b.line, db, declared, b.page, b.line, text)
}

// compile returns what the compiler has against a file of the test's module, which
// exists for it alone.
func compile(t *testing.T, text string) (complaints []string) {
	t.Helper()
	imports := "package snippets\n\nimport (\n"
	for name, path := range packages {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(text) {
			imports += fmt.Sprintf("%q\n", path)
		}
	}
	source, err := format.Source([]byte(imports + ")\n" + text))
	if err != nil {
		return []string{err.Error()}
	}
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "snippets.go"), filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(file, source, 0o600))
	here, err := filepath.Abs("snippets")
	must(t, err)
	files, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "snippets.go"): file}})
	must(t, err)
	must(t, os.WriteFile(overlay, files, 0o600))
	out, err := exec.Command("go", "build", "-gcflags=-e", "-overlay", overlay, "github.com/binjet/binjet/test/cli/snippets").CombinedOutput()
	if err == nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			complaints = append(complaints, strings.TrimSpace(line))
		}
	}
	return complaints
}

// A fault in a block is found, on its line.
func TestSnippetsAreCompiled(t *testing.T) {
	b := block{page: "docs/x.md", line: 40, lang: "go", text: "err = outbox.Insert(ctx, db)\nerr = outbox.Remove(ctx)\n"}
	if got := compile(t, given+b.function()); len(got) != 1 || !strings.Contains(got[0], "docs/x.md:41") || !strings.Contains(got[0], "outbox.Remove") {
		t.Errorf("%q", got)
	}
}
