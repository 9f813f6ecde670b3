package alerts

//lint:file-ignore SA1019 the dashboard is in the format that these types are of; dashboardv2 is another one

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/prometheus/promql"
)

// board reads the dashboard by Grafana's own types.
func board(t *testing.T) (d dashboard.Dashboard) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/binjet.json")
	must(t, err)
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	if faults := strictly(text); faults != "" {
		t.Fatal(faults)
	}
	must(t, json.Unmarshal(text, &d))
	must(t, d.Validate())
	return d
}

// strictly is what Grafana's types have against a dashboard: fields that they don't
// know, and those that they want and are missing. Its errors are never nil, but empty.
func strictly(text []byte) string {
	var d dashboard.Dashboard
	if err := d.UnmarshalJSONStrict(text); err != nil {
		return strings.TrimSpace(err.Error())
	}
	return ""
}

// TestStrictly: what is misspelled is found, but for the fields of a question.
func TestStrictly(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/binjet.json")
	must(t, err)
	for from, to := range map[string]string{`"schemaVersion"`: `"schemeVersion"`, `"fillOpacity"`: `"fillOpaciti"`, `"gridPos"`: `"gridPosition"`, `"showLegend": true`: `"showLegend": "yes"`} {
		_ = board(t) // the variants are registered
		if faults := strictly([]byte(strings.Replace(string(text), from, to, 1))); faults == "" {
			t.Errorf("%s in place of %s is taken", to, from)
		}
	}
}

// panels are those that show something.
func panels(t *testing.T) (list []dashboard.Panel) {
	t.Helper()
	for _, p := range board(t).Panels {
		switch {
		case p.Panel != nil:
			list = append(list, *p.Panel)
		case len(p.RowPanel.Panels) > 0:
			t.Error("a row that is folded hides panels")
		}
	}
	if len(list) < 25 {
		t.Fatalf("only %d panels", len(list))
	}
	return list
}

func queries(t *testing.T, p dashboard.Panel) (list []prometheus.Dataquery) {
	t.Helper()
	for _, q := range p.Targets {
		query, is := q.(*prometheus.Dataquery)
		if !is || query.Expr == "" || query.LegendFormat == nil {
			t.Fatalf("%s asks nothing of Prometheus, or has no legend: %+v", *p.Title, q)
		}
		list = append(list, *query)
	}
	return list
}

// TestDashboardPanels: each says what it shows and in which unit, asks the data source
// that is chosen, and covers no other.
func TestDashboardPanels(t *testing.T) {
	var places []dashboard.GridPos
	for _, p := range panels(t) {
		if p.Title == nil || *p.Title == "" || p.Description == nil || !strings.HasSuffix(*p.Description, ".") {
			t.Errorf("panel %d has no title, or no description that is a sentence", *p.Id)
			continue
		}
		if p.Datasource == nil || *p.Datasource.Uid != "${datasource}" {
			t.Errorf("%s does not ask the data source that is chosen", *p.Title)
		}
		if p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == nil {
			t.Errorf("%s has no unit", *p.Title)
		}
		places = append(places, *p.GridPos)
	}
	for _, p := range board(t).Panels {
		if row := p.RowPanel; row != nil {
			places = append(places, *row.GridPos)
		}
	}
	for i, a := range places {
		if a.X+a.W > 24 || a.W == 0 || a.H == 0 {
			t.Errorf("%+v is not on the board", a)
		}
		for _, b := range places[:i] {
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%+v covers %+v", a, b)
			}
		}
	}
}

// TestDashboardVariables: each that a question has is one of the board's, and the
// board has none for nothing.
func TestDashboardVariables(t *testing.T) {
	used := []string{"datasource", "__rate_interval"}
	for _, p := range panels(t) {
		for _, q := range queries(t, p) {
			for _, m := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
				used = append(used, m[1])
			}
		}
	}
	have := []string{"__rate_interval"}
	for _, v := range board(t).Templating.List {
		have = append(have, v.Name)
		if !slices.Contains(used, v.Name) {
			t.Errorf("$%s is used by no panel", v.Name)
		}
	}
	for _, name := range used {
		if !slices.Contains(have, name) {
			t.Errorf("there is no $%s", name)
		}
	}
}

// TestDashboardAnswers: on series of all metrics, with the labels that docs/metrics.md
// says, each question of the board has an answer. One by a label that is not there has none.
func TestDashboardAnswers(t *testing.T) {
	series := load(t, documented(t)...)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: math.MaxInt32, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: newParser()})
	defer engine.Close()
	variables := strings.NewReplacer("$__rate_interval", "1m", "$source", ".+", "$consumer", ".+")
	label, asked := regexp.MustCompile(`{{(\w+)}}`), 0
	for _, p := range panels(t) {
		for _, q := range queries(t, p) {
			asked++
			query, err := engine.NewInstantQuery(t.Context(), series, nil, variables.Replace(q.Expr), time.Unix(600, 0))
			if err != nil {
				t.Errorf("%s: %v", *p.Title, err)
				continue
			}
			vector, err := query.Exec(t.Context()).Vector()
			if err != nil || len(vector) == 0 {
				t.Errorf("%s: %s has no answer (%v)", *p.Title, q.Expr, err)
				continue
			}
			for _, m := range label.FindAllStringSubmatch(*q.LegendFormat, -1) {
				if vector[0].Metric.Get(m[1]) == "" {
					t.Errorf("%s: the legend names %s, which the answer %s lacks", *p.Title, m[1], vector[0].Metric)
				}
			}
			query.Close()
		}
	}
	if asked < 50 {
		t.Errorf("only %d questions were found", asked)
	}
}

// documented is a series of each metric of docs/metrics.md, which rises by 1 at each sample.
func documented(t *testing.T) (lines []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	must(t, err)
	values := map[string]string{"role": "leader", "state": "open", "outcome": "duplicate"} // that the board asks for
	for _, m := range regexp.MustCompile("(?m)^\\| `(binjet_\\w+)` \\| (\\w+) \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		labels := `source="shop",instance="a"`
		if strings.HasPrefix(m[1], "binjet_consumer_") {
			labels = `consumer="billing",stream="OUTBOX",instance="s"`
		}
		for _, l := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1) {
			value := values[l[1]]
			if value == "" {
				value = "x"
			}
			if l[1] != "instance" {
				labels += fmt.Sprintf(",%s=%q", l[1], value)
			}
		}
		if m[2] == "histogram" {
			for _, le := range []string{"0.1", "1", "+Inf"} {
				lines = append(lines, fmt.Sprintf(`%s_bucket{%s,le=%q} 0+1x50`, m[1], labels, le))
			}
			lines = append(lines, fmt.Sprintf(`%s_sum{%s} 0+1x50`, m[1], labels), fmt.Sprintf(`%s_count{%s} 0+1x50`, m[1], labels))
			continue
		}
		lines = append(lines, fmt.Sprintf(`%s{%s} 0+1x50`, m[1], labels))
	}
	if len(lines) < 80 {
		t.Fatalf("only %d series", len(lines))
	}
	return lines
}
