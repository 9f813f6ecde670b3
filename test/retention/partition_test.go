package retention

import (
	"fmt"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/outboxtable"
)

// TestPrunePartitions: days that are old and in the stream are dropped as a whole, days
// to come are made, and what a pruner that died left behind is cleared away.
func TestPrunePartitions(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		const day = 24 * time.Hour
		today := time.Now().UTC().Truncate(day)
		w.exec("DROP TABLE outbox")
		create, err := binjet.Schema{Variant: binjet.Partitioned, Today: today.Add(-4 * day), Days: 5}.Up(0)
		must(t, err)
		for _, statement := range create {
			w.exec(statement)
		}
		for age := range 5 {
			w.exec("INSERT INTO outbox (id, topic, payload, created_at) VALUES (?, 'a', 'x', NOW(6) - INTERVAL ? DAY)", fmt.Sprint("row-", age), age)
		}
		w.exec("CREATE TABLE outbox_pruned LIKE outbox") // a pruner died here
		w.run("init")
		if _, errs, code := w.run("prune", "--older-than", "48h", "--wait", "1s"); code != 1 || len(w.tableIDs()) != 5 {
			t.Errorf("nothing is published: code %d, %v\n%s", code, w.tableIDs(), errs)
		}
		streamer := w.start("BINJET_RETENTION_KEEP=48h", "BINJET_RETENTION_INTERVAL=50ms")
		// What is 48 hours old lies in a day's partition that is not all older than that.
		eventually(t, "two days are dropped", func() bool { return len(w.tableIDs()) == 3 })
		eventually(t, "the table beside is gone", func() bool {
			var n int
			must(t, w.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='shop' AND TABLE_NAME='outbox_pruned'").Scan(&n))
			return n == 0
		})
		list, err := outboxtable.Load(t.Context(), w.db, "shop", "outbox")
		must(t, err)
		have := map[string]bool{}
		for _, p := range list {
			have[p.Name] = true
		}
		coming := outboxtable.Name(today.Add((binjet.DefaultDays - 1) * day))
		if old := outboxtable.Name(today.Add(-3 * day)); have[old] || !have[coming] {
			t.Errorf("partitions %v: %s should be gone, and %s be there", list, old, coming)
		}
		streamer.stop(t)
		if rows := w.tableIDs(); !rows["row-0"] || !rows["row-1"] || !rows["row-2"] {
			t.Errorf("the table holds %v", rows)
		}
		if ids := w.streamIDs(); len(ids) != 5 {
			t.Errorf("the stream holds %v", ids)
		}
	})
}
