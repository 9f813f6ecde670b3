package retention

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
)

// retain makes every row old enough at once, so that only the proof keeps one.
func retain(keep string) []string {
	return []string{"BINJET_RETENTION_KEEP=" + keep, "BINJET_RETENTION_INTERVAL=20ms", "BINJET_RETENTION_PAUSE=1ms", "BINJET_RETENTION_BATCH_ROWS=50"}
}

// load inserts from several goroutines until it is stopped.
type load struct {
	stop      context.CancelFunc
	wg        sync.WaitGroup
	mu        sync.Mutex
	committed map[string]bool
	slowest   atomic.Int64
}

func (w *world) load(writers int) *load {
	w.t.Helper()
	p, err := producer.New(producer.Config{})
	must(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	l := &load{stop: cancel, committed: map[string]bool{}}
	for range writers {
		l.wg.Go(func() {
			pace := time.NewTicker(4 * time.Millisecond) // what the relay can follow on a busy machine
			defer pace.Stop()
			for n := 1; ctx.Err() == nil; n = n%7 + 1 {
				<-pace.C
				msgs := events(n)
				begun := time.Now()
				if err := p.Insert(w.t.Context(), w.db, msgs...); err != nil {
					w.t.Error(err)
					return
				}
				l.slowest.Store(max(l.slowest.Load(), int64(time.Since(begun))))
				l.mu.Lock()
				for _, m := range msgs {
					l.committed[m.ID] = true
				}
				l.mu.Unlock()
			}
		})
	}
	w.t.Cleanup(l.halt)
	return l
}

func (l *load) halt() { l.stop(); l.wg.Wait() }

func (l *load) ids() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make(map[string]bool, len(l.committed))
	for id := range l.committed {
		ids[id] = true
	}
	return ids
}

// TestPruneUnderKills: rows are old at once, and streamers that prune are killed
// again and again. While none runs, writers go on and binjet prune is tried: each row
// that is gone then is in the stream. In the end all is published, and all rows are gone.
func TestPruneUnderKills(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		w.run("init")
		l := w.load(4)
		gone := 0
		for range 3 {
			p := w.start(retain("1us")...)
			eventually(t, "more rows are pruned", func() bool { return len(w.gone(l)) > gone })
			p.kill()
			eventually(t, "rows that nobody publishes", func() bool { return len(l.ids()) > int(w.count(t.Context()))+50 })
			if _, errs, code := w.run("prune", "--older-than", "1us", "--wait", "1s"); code != 1 || !strings.Contains(errs, "binjet run must be running") {
				t.Errorf("prune without a streamer: code %d\n%s", code, errs)
			}
			ids, stream := w.gone(l), w.streamIDs()
			gone = len(ids)
			for _, id := range ids {
				if stream[id] != 1 {
					t.Fatalf("row %s was deleted, and is in the stream %d times", id, stream[id])
				}
			}
		}
		l.halt()
		w.start(retain("1us")...)
		eventually(t, "all rows are gone", func() bool { return len(w.tableIDs()) == 0 })
		w.allPublished(l.ids())
		t.Logf("%d rows pruned; the slowest insert took %s", len(l.ids()), time.Duration(l.slowest.Load()))
	})
}

// gone are the committed rows that are no longer there.
func (w *world) gone(l *load) (gone []string) {
	w.t.Helper()
	committed, rows := l.ids(), w.tableIDs() // in this order: what is not there later is gone
	for id := range committed {
		if !rows[id] {
			gone = append(gone, id)
		}
	}
	return gone
}

// TestPruneKeeps what is young, and what is not in the stream, for as long as that is so.
func TestPruneKeeps(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		insert := func(id string, age string) {
			w.exec("INSERT INTO outbox (id, topic, payload, created_at) VALUES (?, 'a', 'x', NOW(6) - INTERVAL "+age+")", id)
		}
		if out, errs, code := w.run("prune", "--older-than", "1h"); code != 1 || !strings.Contains(errs, "no such message") && !strings.Contains(errs, "stream not found") {
			t.Errorf("without a stream: code %d\n%s%s", code, out, errs)
		}
		w.run("init")
		insert("old", "2 DAY")
		insert("young", "1 MINUTE")
		insert("future", "-1 DAY")
		if out, errs, code := w.run("prune", "--older-than", "1h"); code != 1 || !strings.Contains(errs, "nothing was published yet") {
			t.Errorf("without a checkpoint: code %d\n%s%s", code, out, errs)
		}
		streamer := w.start()
		eventually(t, "three events", func() bool { return w.count(t.Context()) == 3 })

		var report struct {
			Rows   int64
			DryRun bool `json:"dry_run"`
			Tables []struct {
				Table      string
				Rows       int64
				OldestKept time.Time `json:"oldest_kept"`
			}
		}
		out, errs, code := w.run("prune", "--older-than", "1h", "--dry-run", "-o", "json")
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 || report.Rows != 1 || !report.DryRun || len(w.tableIDs()) != 3 {
			t.Errorf("dry run: code %d, %v\n%s%s", code, err, out, errs)
		}
		out, errs, code = w.run("prune", "--older-than", "1h")
		if code != 0 || !strings.Contains(out, "1 rows deleted") || !strings.Contains(out, "oldest that stays") {
			t.Errorf("code %d\n%s%s", code, out, errs)
		}
		if rows := w.tableIDs(); rows["old"] || len(rows) != 2 {
			t.Errorf("the table holds %v", rows)
		}
		streamer.stop(t)
		insert("unpublished", "2 DAY") // nobody publishes it now
		if out, errs, code := w.run("prune", "--older-than", "1h", "--wait", "1s"); code != 1 || !strings.Contains(errs, "binjet run must be running") || !w.tableIDs()["unpublished"] {
			t.Errorf("code %d, rows %v\n%s%s", code, w.tableIDs(), out, errs)
		}
	})
}

// TestPruneGrants: what is missing is named with the statement that mends it, and
// with exactly that it works.
func TestPruneGrants(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		w.run("init")
		w.exec("CREATE USER binjet@'%' IDENTIFIED BY 'secret'")
		w.exec("GRANT REPLICATION SLAVE ON *.* TO binjet@'%'")
		w.exec("GRANT SELECT ON shop.outbox TO binjet@'%'")
		w.env = append(w.env, "BINJET_SOURCE_DSN="+fmt.Sprintf("binjet:secret@tcp(%s)/shop", w.srv.Addr()))
		fix := "GRANT DELETE ON `shop`.`outbox` TO 'binjet'@'%';"
		w.env = append(w.env, retain("1us")...)
		for _, command := range []string{"run", "check", "prune"} {
			out, errs, code := w.run(command)
			if said := strings.ReplaceAll(out+errs, `\"`, `"`); code != 1 || !strings.Contains(said, fix) {
				t.Errorf("%s: code %d, and no %s:\n%s", command, code, fix, said)
			}
		}
		w.exec("GRANT DELETE ON shop.outbox TO binjet@'%'")
		w.exec("INSERT INTO outbox (id, topic, payload) VALUES ('x', 'a', 'x')")
		streamer := w.start()
		eventually(t, "the row is pruned", func() bool { return len(w.tableIDs()) == 0 })
		streamer.stop(t)
		w.exec("SET GLOBAL read_only=ON")
		if out, errs, code := w.run("prune"); code != 1 || !strings.Contains(errs, "is a replica") {
			t.Errorf("read_only: code %d\n%s%s", code, out, errs)
		}
	})
}
