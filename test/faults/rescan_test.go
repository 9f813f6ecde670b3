package faults

import (
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/leastprivilege"
)

// TestRescanKilled: again and again the binlogs are purged while no streamer reads
// them and writers go on; streamers are killed while they look through the table.
// Each committed row is in the stream once.
func TestRescanKilled(t *testing.T) {
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor, append(leastprivilege.Env("rescanner"), "BINJET_SOURCE_ON_GAP=rescan")...)
		_, _ = w.db.ExecContext(t.Context(), "SET GLOBAL slave_connections_needed_for_purge=0")
		ws := w.write(4)
		nc := w.nats.Connect(t)
		p := w.start()
		kills, during := 0, 0
		for round := range 3 {
			eventually(t, "events", func() bool { return count(nc) > uint64(500*(round+1)) })
			p.kill()
			missed := ws.committed.Load() + 2500
			eventually(t, "a backlog", func() bool { return ws.committed.Load() > missed })
			w.purge()
			before := count(nc)
			for range 3 {
				p = w.start()
				eventually(t, "progress", func() bool { return count(nc) > before })
				p.kill()
				kills++
				if h, ok := held(nc); ok && h.Snapshot != nil && h.Snapshot.Rescan != nil {
					during++
				}
				before = count(nc)
			}
			p = w.start()
		}
		if during == 0 {
			t.Fatalf("none of %d kills came during a rescan", kills)
		}
		ws.halt()
		truth := w.rows()
		eventually(t, "all events", func() bool { return count(nc) >= uint64(len(truth)) })
		w.exec("INSERT INTO outbox (id, topic, payload) VALUES ('~last', 't', 'p')")
		eventually(t, "the last event", func() bool { return count(nc) >= uint64(len(truth))+1 })
		ids := make([]string, 0, len(truth)+1)
		for _, e := range readStream(t, nc) {
			ids = append(ids, e.id)
		}
		if ids[len(ids)-1] != "~last" {
			t.Errorf("the last event is %s", ids[len(ids)-1])
		}
		ids = ids[:len(ids)-1]
		slices.Sort(ids)
		if !slices.Equal(ids, truth) {
			t.Fatalf("the stream holds %d events, the table %d rows: %s", len(ids), len(truth), firstDifference(ids, truth))
		}
		ws.check(truth)
		t.Logf("%d events, %d kills, %d of them during a rescan", len(ids), kills, during)
		if code := p.stop(t); code != 0 {
			t.Fatalf("a clean stop ended with code %d:\n%s", code, tail(p.log))
		}
	})
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return got[i] + " where " + want[i] + " should be"
		}
	}
	return "one is longer"
}

// rows are the IDs that lie in the table, sorted by their bytes.
func (w *world) rows() (ids []string) {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), "SELECT id FROM outbox ORDER BY id")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, strings.Clone(id))
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// purge deletes all binlogs but the newest.
func (w *world) purge() {
	w.t.Helper()
	w.exec("FLUSH BINARY LOGS")
	eventually(w.t, "only one binlog is left", func() bool {
		names := w.binlogs()
		w.exec("PURGE BINARY LOGS TO '" + names[len(names)-1] + "'")
		return len(w.binlogs()) == 1
	})
}

func (w *world) binlogs() (names []string) {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		w.t.Fatal(err)
	}
	for rows.Next() {
		row := make([]any, len(columns))
		var name string
		row[0] = &name
		for i := 1; i < len(row); i++ {
			row[i] = new(any)
		}
		if err := rows.Scan(row...); err != nil {
			w.t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}
