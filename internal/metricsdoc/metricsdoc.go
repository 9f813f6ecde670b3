// Package metricsdoc keeps docs/metrics.md what the registries say: it writes a
// table of what a registry gathers, and compares it with the page. It is for tests.
package metricsdoc

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// Update is the variable of the environment that writes the tables in place of comparing them.
const Update = "UPDATE_METRICS_DOC"

// Check lints every metric that begins with prefix, and compares the page's table
// called name, between <!-- name --> and <!-- /name -->, with them. Labels that all
// of them carry are left out of the table.
func Check(t testing.TB, page, name, prefix string, g prometheus.Gatherer, common ...string) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families = slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), prefix) })
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	want := table(families, common)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	switch {
	case !found || !closed:
		t.Fatalf("%s has no table between %q and %q", page, begin, end)
	case got == want:
	case os.Getenv(Update) != "":
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the code has; run this test with %s=1 and commit the page. It should be:\n%s", page, Update, want)
	}
}

func table(families []*dto.MetricFamily, common []string) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range families {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), labels(f, common), f.GetHelp())
	}
	return b.String()
}

func labels(f *dto.MetricFamily, common []string) string {
	var names []string
	for _, l := range f.GetMetric()[0].GetLabel() {
		if !slices.Contains(common, l.GetName()) {
			names = append(names, "`"+l.GetName()+"`")
		}
	}
	return strings.Join(names, ", ")
}
