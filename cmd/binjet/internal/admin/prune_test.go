package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/binjet/binjet/internal/prune"
	"github.com/binjet/binjet/relay"
)

// pruned is what a round tells the hooks.
func pruned(b *bench) prune.Hooks {
	b.RelayHooks().Role(relay.Leader)
	hooks := b.PruneHooks(168 * time.Hour)
	hooks.Deleted("outbox", 500, 20*time.Millisecond)
	hooks.Round(prune.Report{Tables: []prune.TableReport{{Table: "outbox", Rows: 500, Partitions: []string{"p20260131"}, Oldest: b.clock},
		{Table: "hole", Skipped: "a BLACKHOLE table keeps no rows"}}}, nil)
	return hooks
}

func TestPruneMetrics(t *testing.T) {
	b := newBench()
	hooks := pruned(b)
	success := b.clock
	b.clock = b.clock.Add(time.Minute)
	hooks.Round(prune.Report{Tables: []prune.TableReport{{Table: "outbox"}}}, errors.New("the server is gone"))
	want := `
# HELP binjet_prune_errors_total Rounds of pruning that failed; the log says why.
# TYPE binjet_prune_errors_total counter
binjet_prune_errors_total{source="shop"} 1
# HELP binjet_prune_last_success_timestamp_seconds When this process last finished a round of pruning; 0 before that, and on a standby.
# TYPE binjet_prune_last_success_timestamp_seconds gauge
binjet_prune_last_success_timestamp_seconds{source="shop"} ` + fmt.Sprint(success.Unix()) + `
# HELP binjet_prune_partitions_total Old partitions that were dropped from an outbox table.
# TYPE binjet_prune_partitions_total counter
binjet_prune_partitions_total{source="shop",table="outbox"} 1
# HELP binjet_prune_rows_total Old rows that were deleted from an outbox table.
# TYPE binjet_prune_rows_total counter
binjet_prune_rows_total{source="shop",table="outbox"} 500
`
	err := testutil.GatherAndCompare(b.registry, strings.NewReader(want), "binjet_prune_errors_total", "binjet_prune_last_success_timestamp_seconds",
		"binjet_prune_partitions_total", "binjet_prune_rows_total")
	if err != nil {
		t.Error(err)
	}
}

// TestStandbyPrunesNothing: what a leader knew of its last round does not stay when it
// leads no more, also where that round ends later; the alerts would go on about it.
func TestStandbyPrunesNothing(t *testing.T) {
	b := newBench()
	hooks := pruned(b)
	b.RelayHooks().Role(relay.Standby)
	hooks.Round(prune.Report{Tables: []prune.TableReport{{Table: "outbox", Oldest: b.clock}}}, nil)
	want := `
# HELP binjet_prune_keep_seconds Age up to which rows are kept: retention.keep. There only where it is set, as are all metrics of pruning.
# TYPE binjet_prune_keep_seconds gauge
binjet_prune_keep_seconds{source="shop"} 604800
# HELP binjet_prune_last_success_timestamp_seconds When this process last finished a round of pruning; 0 before that, and on a standby.
# TYPE binjet_prune_last_success_timestamp_seconds gauge
binjet_prune_last_success_timestamp_seconds{source="shop"} 0
`
	if err := testutil.GatherAndCompare(b.registry, strings.NewReader(want), "binjet_prune_last_success_timestamp_seconds",
		"binjet_prune_oldest_kept_timestamp_seconds", "binjet_prune_keep_seconds"); err != nil {
		t.Error(err)
	}
}
