//go:build containers

package compose

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
)

// watch starts Prometheus too, and no Grafana. The profile stays in the command, so that
// "down" knows of Prometheus.
func (w *world) watch() {
	w.t.Helper()
	w.command = append(w.command, "--profile", "monitoring")
	w.compose("up", "-d", "--no-build", "prometheus")
}

// scraped waits until Prometheus reads the metrics of these and of nothing else.
func (w *world) scraped(instances ...string) {
	w.t.Helper()
	w.eventually("all targets are up", func() bool {
		var got struct {
			ActiveTargets []struct {
				Labels map[string]string
				Health string
			}
		}
		if !w.prometheus("/api/v1/targets", &got) {
			return false
		}
		var up []string
		for _, target := range got.ActiveTargets {
			if target.Health == "up" {
				up = append(up, target.Labels["instance"])
			}
		}
		slices.Sort(up)
		return slices.Equal(up, instances) && len(got.ActiveTargets) == len(instances)
	})
}

// rule is one of Prometheus's, as its API shows it.
type rule struct {
	Name           string
	Health         string // unknown until it was evaluated
	LastError      string
	LastEvaluation time.Time
}

// ruled waits until Prometheus has evaluated every alert of the file, and looks for errors.
func (w *world) ruled() {
	w.t.Helper()
	var rules []rule
	w.eventually("all rules are evaluated", func() bool {
		rules = w.rules()
		return len(rules) > 0 && !slices.ContainsFunc(rules, func(r rule) bool { return r.Health == "unknown" || r.LastEvaluation.IsZero() })
	})
	var got []string
	for _, r := range rules {
		got = append(got, r.Name)
		if r.Health != "ok" || r.LastError != "" {
			w.t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
		}
	}
	slices.Sort(got)
	if want := w.alerts(); !slices.Equal(got, want) {
		w.t.Errorf("Prometheus has the alerts %q, the file %q", got, want)
	}
	w.t.Logf("Prometheus has evaluated %d alerts", len(got))
}

// rules are those that Prometheus has loaded; of one that does not answer, none.
func (w *world) rules() (rules []rule) {
	w.t.Helper()
	var got struct{ Groups []struct{ Rules []rule } }
	w.prometheus("/api/v1/rules?type=alert", &got)
	for _, g := range got.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// alerts are the names of those in the file, sorted.
func (w *world) alerts() (names []string) {
	w.t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/alerts.yaml")
	must(w.t, err)
	var file struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	must(w.t, yaml.Unmarshal(text, &file))
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Alert)
		}
	}
	slices.Sort(names)
	return names
}

// prometheus decodes the data of an answer of its API, if there is one.
func (w *world) prometheus(path string, data any) bool {
	w.t.Helper()
	res, err := http.Get("http://" + w.addr("prometheus", "9090/tcp") + path)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	answer := struct{ Data any }{data}
	return res.StatusCode == http.StatusOK && json.NewDecoder(res.Body).Decode(&answer) == nil
}
