package torture

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestMutants: with one rule broken, the same load and the same checker find it. The
// first one has none broken and passes.
func TestMutants(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "binjet")
	must(t, build(broken, "-tags", "binjet_mutants"))
	for _, m := range []struct{ name, found string }{
		{"", ""},
		{"no expectation", "^I[123]: "},
		// Its events stand behind the checkpoint that counts them, at which a take-over halts.
		{"checkpoint first", "^I[12]: |ended with code 3"},
		{"resume late", "^I1: "},
		{"fence ignored", "^I[123]: "},
		{earlyMark, "has 0 effects"},
	} {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t, setting{flavor: dbserver.MySQL, nodes: 1, streamer: broken, mutant: m.name})
			patience := 10 * time.Second
			if m.name == "" {
				patience = time.Minute
			}
			err := w.torture(trial{duration: 7 * time.Second, seed: *seed, patience: patience, drill: true})
			switch {
			case m.name == "" && err != nil:
				t.Fatalf("nothing is broken, and yet: %v", err)
			case m.name != "" && (err == nil || !regexp.MustCompile(m.found).MatchString(err.Error())):
				t.Fatalf("%q is not found in: %v", m.found, err)
			}
			t.Logf("found: %.300v", err)
		})
	}
}
