package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestDocs runs each command of docs/cli.md, in order. Those that go on until they
// are interrupted are.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	must(t, err)
	w := newWorld(t, build(t), startServer(t, dbserver.MySQL), "shop")
	w.relay()
	w.exec("INSERT INTO shop.outbox (id, topic, payload) VALUES ('bad1', 'orders..created', 'x')")
	w.insert("a", "b", "c")
	w.published(3)
	commands := 0
	for _, block := range strings.Split(string(page), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			commands++
			interrupt := time.Duration(0)
			if strings.Contains(line, "--watch") || strings.HasPrefix(line, "binjet tail") && !strings.Contains(line, "--no-follow") {
				interrupt = 2 * time.Second
			}
			r := w.run(interrupt, "sh", "-c", "exec "+strings.TrimSpace(line))
			if r.code != 0 || r.out == "" && r.err == "" && interrupt == 0 && !strings.HasPrefix(line, "binjet man") {
				t.Errorf("%s%s", line, r)
			}
		}
	}
	if commands < 15 {
		t.Errorf("only %d commands are shown", commands)
	}
}
