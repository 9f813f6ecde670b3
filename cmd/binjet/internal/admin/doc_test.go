package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/metricsdoc"
	"github.com/binjet/binjet/relay"
)

// everything is a watch that has something to say by each of its metrics.
func everything() *bench {
	b := newBench()
	pruned(b)
	b.status.Checkpoint.Last = &checkpoint.Last{Committed: b.clock}
	b.status.Checkpoint.Snapshot = &checkpoint.Snapshot{Begun: true}
	b.RelayHooks().Role(relay.Leader)
	b.ReaderHooks().Connected(binlog.Server{})
	b.RelayHooks().Settled("retry", &relay.RefusedError{Code: 10071})
	b.answered(func(a *survey) {
		a.at, a.oldest, a.keep, a.behindKnown, a.deadLetters = b.clock, b.clock, time.Hour, true, map[string]uint64{"billing": 1}
	})
	return b
}

// docs/metrics.md is what the registry says, and names follow the conventions.
func TestMetricsPage(t *testing.T) {
	b := everything()
	metricsdoc.Check(t, "../../../../docs/metrics.md", "streamer", "binjet_", b.registry, "source")
}

// No gauge is left out of the page because it has no value in the test.
func TestEveryGaugeHasAValue(t *testing.T) {
	b := everything()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range families {
		all.WriteString(f.GetName() + "\n")
	}
	descs := make(chan *prometheus.Desc, 100)
	newGauges(b.Watch).Describe(descs)
	close(descs)
	for d := range descs {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		if name, _, _ = strings.Cut(name, `"`); !strings.Contains(all.String(), name+"\n") {
			t.Errorf("%s is never there", name)
		}
	}
}
