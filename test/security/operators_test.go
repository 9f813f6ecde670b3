package security

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/binjet/binjet/internal/leastprivilege"
)

// operators runs every command of an operator with the accounts that the page gives it.
func operators(t *testing.T, d *database, g *guarded) {
	t.Helper()
	as := func(user, account string) env { return g.as(user, d.as(account, leastprivilege.Password)) }
	viewer, undertaker := as("viewer", "binjet_viewer"), as("undertaker", "binjet_viewer")
	file := filepath.Join(t.TempDir(), "position.json")
	t.Run("looking on", func(t *testing.T) {
		for args, words := range map[string]string{
			"status":                  "still needed",
			"verify":                  "1 rows that lie in the dead letters",
			"tail --all --no-follow":  "orders.created",
			"dlq list":                "bad",
			"dlq show 1":              "white space",
			"position show":           "led by",
			"position export " + file: "",
			"position set latest --reason=x --dry-run": "",
			"dlq drop --all --dry-run":                 "would drop 1",
			"dlq replay --by=shop --dry-run":           "1 quarantined row passed over",
		} {
			t.Run(args, func(t *testing.T) {
				t.Parallel()
				code, out := viewer.run(t, patience, strings.Fields(args)...)
				if code != 0 || !strings.Contains(out, words) || strings.Contains(out, "iolation") {
					t.Errorf("exit %d\n%s", code, out)
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	for _, c := range []struct {
		as    env
		args  string
		words string
	}{
		{undertaker, "dlq drop --by=shop --yes", "dropped 1 of 1"},
		{as("viewer", "binjet_prune"), "prune --older-than=1us", "rows deleted"},
		{as("bencher", "binjet_bench"), "bench --duration=100ms --rows=100", "a backlog is drained"},
		{as("admin", "binjet"), "position set latest --reason=x --force --yes", "any relay goes on from there"},
	} {
		if code, out := c.as.run(t, patience, strings.Fields(c.args)...); code != 0 || !strings.Contains(out, c.words) || strings.Contains(out, "iolation") {
			t.Errorf("%s: exit %d\n%s", c.args, code, out)
		}
	}
}

// operatorsNeedAll: the accounts of operators are enough for what they are for, and
// each of their privileges is needed.
func operatorsNeedAll(t *testing.T, d *database, root env) {
	t.Helper()
	p := root.start(t)
	p.leads(t)
	defer p.stop(t)
	eventually(t, "the snapshot is finished, before which nothing is pruned", p.text, func() bool {
		code, _ := root.run(t, patience, "prune", "--older-than=24h")
		return code == 0
	})
	for name, commands := range map[string][][2]string{
		"viewer": {{"verify", "missing"}, {"status", "still needed"}},
		"prune":  {{"prune --older-than=1us", "rows deleted"}},
		"bench":  {{"bench --duration=100ms --rows=100", "a backlog is drained"}},
	} {
		d.needsAll(t, name, "binjet_"+name, func(dsn string) (bool, string) {
			d.exec(t, "DROP TABLE IF EXISTS binjet_bench") // of one that could not drop it
			for _, c := range commands {
				code, out := root.with(env{"BINJET_SOURCE_DSN": dsn}).run(t, patience, strings.Fields(c[0])...)
				if code != 0 || !strings.Contains(out, c[1]) {
					return false, fmt.Sprintf("%s: exit %d\n%s", c[0], code, out)
				}
			}
			return true, ""
		})
	}
}

// needsAll tries an account of the page as it is, and without each of its privileges.
func (d *database) needsAll(t *testing.T, name, user string, works func(dsn string) (bool, string)) {
	t.Helper()
	whole := leastprivilege.Grants(t, name)
	dsn := d.as(user, leastprivilege.Password)
	for what, statements := range lessers(whole) {
		d.exec(t, "DROP USER IF EXISTS "+user+"@'%'")
		for _, s := range statements {
			d.exec(t, s)
		}
		ok, out := works(dsn)
		switch {
		case what == "" && !ok:
			t.Errorf("%s is not enough: %s", name, out)
		case what != "" && ok:
			t.Errorf("%s is enough without %s", name, what)
		case what != "" && !strings.Contains(out, "denied") && !strings.Contains(out, "GRANT"):
			t.Errorf("%s without %s: nothing says what is missing: %s", name, what, out)
		}
	}
}

// lessers are the statements with all privileges, and without each, by what is missing.
// CREATE stays beside others: a server takes none of these for a table that is not there.
func lessers(whole []string) map[string][]string {
	all := map[string][]string{"": whole}
	for i, s := range whole[1:] { // the first makes the account
		privileges, on, _ := strings.Cut(strings.TrimPrefix(s, "GRANT "), " ON ")
		list := strings.Split(privileges, ", ")
		for j, p := range list {
			rest := append(append([]string{}, list[:j]...), list[j+1:]...)
			less := append([]string{}, whole[:i+1]...)
			switch {
			case len(rest) == 0:
			case p == "CREATE":
				continue
			default:
				less = append(less, "GRANT "+strings.Join(rest, ", ")+" ON "+on)
			}
			all[p+" ON "+on] = append(less, whole[i+2:]...)
		}
	}
	return all
}
