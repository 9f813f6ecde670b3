package torture

import (
	"fmt"
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
	for _, m := range []mutant{
		{"", ""},
		// What it leads to, or that it is seen to be missing where it has not led to anything yet.
		{"no expectation", "^I[1236]: "},
		{"checkpoint first", "^I[12]: "},
		{"resume late", "^I1: "},
		{"fence ignored", "^I[123]: "},
		{"undecided forgotten", "^I4: .* undecided then and not named"},
		{"rollback ignored", "^I5: "},
		{"not read back", "^I6: .* neither acknowledged nor read back"},
		{"another retry", "^I7: "},
		{earlyMark, "has 0 effects"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			flavor := dbserver.MySQL
			if m.name == "rollback ignored" { // which MySQL's log shows of fewer shapes than MariaDB's
				flavor = dbserver.MariaDB
			}
			var err error
			for try := range uint64(3) { // in one run it may never have the chance to do harm
				t.Run(fmt.Sprint("seed ", *seed+try), func(t *testing.T) {
					err = m.run(t, flavor, broken, *seed+try)
					t.Logf("found: %.300v", err)
				})
				if m.name == "" || m.isFound(err) {
					break
				}
			}
			switch {
			case m.name == "" && err != nil:
				t.Fatalf("nothing is broken, and yet: %v", err)
			case m.name != "" && !m.isFound(err):
				t.Fatalf("%q is not found in: %v", m.found, err)
			}
		})
	}
}

// mutant is a broken rule, and what is said where it is found.
type mutant struct{ name, found string }

func (m mutant) isFound(err error) bool {
	return err != nil && regexp.MustCompile(m.found).MatchString(err.Error())
}

// run tortures a world of its own with it.
func (m mutant) run(t *testing.T, flavor dbserver.Flavor, streamer string, seed uint64) error {
	w := newWorld(t, setting{flavor: flavor, nodes: 1, streamer: streamer, mutant: m.name})
	patience := 10 * time.Second
	if m.name == "" {
		patience = time.Minute
	}
	return w.torture(trial{duration: 7 * time.Second, seed: seed, patience: patience, drill: true})
}
