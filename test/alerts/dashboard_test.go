package alerts

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Every question of the dashboard is one that Prometheus understands.
func TestDashboardAsksInPromQL(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/binjet.json")
	must(t, err)
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(text, &board))
	variables, asked := strings.NewReplacer("$__rate_interval", "1m", "$source", ".*", "$consumer", ".*"), 0
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			asked++
			if _, err := newParser().ParseExpr(variables.Replace(q.Expr)); err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d questions were found", asked)
	}
}
