package test

import (
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestPositionsRescan: binlogs are purged while nobody reads them, and the process
// publishes what the outbox table still holds and the stream lacks.
func TestPositionsRescan(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor, Args: []string{"--log-slave-updates=1"}})
			_, _ = db.ExecContext(t.Context(), "SET GLOBAL slave_connections_needed_for_purge=0")
			for _, test := range []struct {
				name string
				run  func(*testing.T, *cmdWorld)
			}{
				{"heals", rescanHeals}, {"xa", rescanXA}, {"part", rescanPart}, {"letgo", rescanLetGo}, {"refused", rescanRefused},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, newCmdWorld(t, bin, srv, db, "rescan_"+test.name)) })
			}
		})
	}
}

var rescan = map[string]string{"BINJET_SOURCE_ON_GAP": "rescan"}

// rescanHeals: what was deleted can't be found; all else comes, once.
func rescanHeals(t *testing.T, w *cmdWorld) {
	w.init(t)
	w.insert(t, "m1")
	w.publish(t, "m2", rescan).stop(t)
	for _, id := range []string{"z9", "a1", "deleted", "n5"} {
		w.insert(t, id)
	}
	execSQL(t, w.db, "DELETE FROM "+w.schema+".outbox WHERE id='deleted'")
	w.source().purge(t)
	w.insert(t, "kept") // before the rescan, and in a log that is still there
	d := w.start(t, rescan)
	w.untilPublished(t, "z9")
	w.insert(t, "after")
	w.untilPublished(t, "after")
	if got := strings.Join(w.published(t), " "); got != "m1 m2 a1 kept n5 z9 after" {
		t.Errorf("the stream holds %s", got)
	}
	if text := d.text(); !strings.Contains(text, "rescan: done") || !strings.Contains(text, `"level":"error"`) {
		t.Errorf("the rescan is not told: %s", text)
	}
	d.stop(t)
	w.publish(t, "again", rescan).stop(t)
	if got := strings.Join(w.published(t), " "); got != "m1 m2 a1 kept n5 z9 after again" {
		t.Errorf("after another start the stream holds %s", got)
	}
}

// rescanXA: a transaction that was prepared before the gap committed in it, and
// another one rolled back.
func rescanXA(t *testing.T, w *cmdWorld) {
	w.init(t)
	d := w.publish(t, "m1", rescan)
	for _, xid := range []string{"commits", "rolls"} {
		w.prepare(t, xid)
	}
	w.insert(t, "m2")
	w.untilPublished(t, "m2")
	d.stop(t)
	execSQL(t, w.db, "XA COMMIT 'commits'")
	execSQL(t, w.db, "XA ROLLBACK 'rolls'")
	w.source().purge(t)
	d = w.start(t, rescan)
	w.untilPublished(t, "commits")
	w.insert(t, "m3")
	w.untilPublished(t, "m3")
	d.stop(t)
	if got := strings.Join(w.published(t), " "); got != "m1 m2 commits m3" {
		t.Errorf("the stream holds %s", got)
	}
}

// prepare leaves an XA transaction undecided that inserts an event of its name.
func (w *cmdWorld) prepare(t *testing.T, xid string) {
	t.Helper()
	conn, err := w.db.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	for _, q := range []string{"XA START '" + xid + "'", strings.Replace(insertSQL(xid), "outbox", w.schema+".outbox", 1),
		"XA END '" + xid + "'", "XA PREPARE '" + xid + "'"} {
		_, err := conn.ExecContext(t.Context(), q)
		must(t, err)
	}
	// MariaDB keeps it in its session until that ends.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// rescanPart: the process died within a transaction that is larger than a batch.
func rescanPart(t *testing.T, w *cmdWorld) {
	w.init(t)
	w.publish(t, "m1", rescan).stop(t)
	const rows = 30_000
	execSQL(t, w.db, "INSERT INTO "+w.schema+".outbox (id, topic, payload) "+
		"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < 999) SELECT CONCAT('r', LPAD(a.i*1000+b.i, 6, '0')), 't', 'p' "+
		"FROM n a JOIN n b WHERE a.i < 30")
	d := w.start(t, map[string]string{"BINJET_SOURCE_ON_GAP": "rescan", "BINJET_SOURCE_MAX_TRANSACTION_BYTES": "1KiB"})
	consumerEventually(t, "a part of it", func() bool { return w.count(t) > 1 })
	must(t, d.cmd.Process.Kill())
	<-d.done
	done := w.count(t)
	if done >= rows {
		t.Fatalf("all %d rows were published at once: make the transaction larger", done)
	}
	w.source().purge(t)
	d = w.start(t, rescan)
	consumerEventually(t, "the rest of it", func() bool { return w.count(t) >= rows+1 })
	w.insert(t, "zz")
	w.untilPublished(t, "zz")
	d.stop(t)
	ids := w.published(t)
	slices.Sort(ids) // a server is free in the order in which it inserts
	if len(ids) != rows+2 || len(slices.Compact(ids)) != rows+2 {
		t.Errorf("%d events: want each of %d once", len(ids), rows+2)
	}
}

// count is how many events the stream holds.
func (w *cmdWorld) count(t *testing.T) int {
	t.Helper()
	st, err := w.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	info, err := st.Info(t.Context(), jetstream.WithSubjectFilter("outbox.>"))
	must(t, err)
	n := 0
	for _, c := range info.State.Subjects {
		n += int(c)
	}
	return n
}

// rescanLetGo: the stream no longer holds what it was given, so an operator has to say.
func rescanLetGo(t *testing.T, w *cmdWorld) {
	w.init(t)
	w.insert(t, "m1")
	w.publish(t, "m2", rescan).stop(t)
	execSQL(t, w.db, "UPDATE "+w.schema+".outbox SET created_at = created_at - INTERVAL 1 HOUR")
	w.insert(t, "gone")
	w.source().purge(t)
	st, err := w.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	must(t, st.Purge(t.Context(), jetstream.WithPurgeSubject("outbox.>")))

	d := w.start(t, rescan)
	if code := d.wait(t); code != 3 {
		t.Fatalf("exit %d: %s", code, d.text())
	}
	for _, words := range []string{`row \"gone\"`, "has let go 2 of the 2 events", "--published-before="} {
		if !strings.Contains(d.text(), words) {
			t.Errorf("no %q in %s", words, d.text())
		}
	}
	if n := w.count(t); n != 0 {
		t.Errorf("%d events came", n)
	}
	if r := w.run(t, nil, "run", "--published-before=yesterday"); r.code != 2 || !strings.Contains(r.stderr, "--published-before") {
		t.Errorf("a time that is none: %s", r)
	}
	execSQL(t, w.db, "DELETE FROM "+w.schema+".outbox WHERE id='gone'")
	d = w.start(t, rescan, "--published-before="+time.Now().UTC().Format(time.RFC3339))
	d.eventually(t, "/readyz", 200, `"role": "leader"`)
	consumerEventually(t, "the end of the rescan", func() bool { return strings.Contains(d.text(), "rescan: done") })
	w.insert(t, "next")
	w.untilPublished(t, "next")
	d.stop(t)
	if got := strings.Join(w.published(t), " "); got != "next" {
		t.Errorf("the stream holds %s", got)
	}
}

// rescanRefused: settings that can't do what they say.
func rescanRefused(t *testing.T, w *cmdWorld) {
	w.init(t)
	for value, words := range map[string]string{"accept-loss": "--accept-loss=", "skip": "neither halt nor rescan"} {
		if r := w.run(t, map[string]string{"BINJET_SOURCE_ON_GAP": value}, "run"); r.code != 2 || !strings.Contains(r.stderr, words) {
			t.Errorf("source.on_gap %s: %s", value, r)
		}
	}
	if w.srv.Flavor() == dbserver.MySQL {
		execSQL(t, w.db, "ALTER TABLE "+w.schema+".outbox ENGINE=BLACKHOLE")
		if r := w.run(t, rescan, "run"); r.code == 0 || !strings.Contains(r.stderr, "keeps no rows") {
			t.Errorf("a table without rows: %s", r)
		}
	}
}

// TestPositionsFellBehind: the binlogs are purged while they are read. The stream
// ends, so that all it yielded is stored first, and the next one begins with the rows.
func TestPositionsFellBehind(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		_, _ = s.db.ExecContext(t.Context(), "SET GLOBAL slave_connections_needed_for_purge=0")
		r := s.reader(t, func(c *binlog.Config) { quick(c); c.OnGap = binlog.RescanOnGap })
		from := begin(t, r)
		reached, goOn := make(chan struct{}), make(chan struct{})
		k := stream(t, r, from, func(tx *checkpoint.Transaction) error {
			if len(tx.Messages) > 0 && tx.Messages[0].ID == "b" {
				close(reached)
				<-goOn
			}
			return nil
		})
		s.insert(t, "a", "b")
		<-reached
		consumerEventually(t, "the binlog connection is gone", func() bool { return s.killDumps(t) == 0 })
		s.insert(t, "c")
		s.purge(t)
		s.insert(t, "d")
		close(goOn)
		<-k.done
		if !errors.Is(k.err, checkpoint.ErrRestart) {
			t.Fatalf("the stream ended with %v", k.err)
		}
		exactly(t, k.ids(), []string{"a", "b"})

		again := stream(t, r, k.position(), nil)
		again.until(t, "the end of the rescan", func(txs []*checkpoint.Transaction) bool {
			for _, tx := range txs {
				if tx.Snapshot == nil || tx.Snapshot.Rescan == nil || tx.Snapshot.Rescan.Lost.IsEmpty() || tx.Snapshot.Rescan.Read.IsZero() {
					t.Errorf("%+v is of no rescan", tx)
				}
			}
			return len(txs) > 0 && txs[len(txs)-1].End
		})
		s.insert(t, "e")
		again.untilID(t, "e")
		exactly(t, again.ids(), []string{"a", "b", "c", "d", "e"})
	})
}
