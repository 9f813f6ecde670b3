package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestPositionsCommand runs the process over servers whose history is not what it
// was: it halts with exit code 3 and the exact difference, or goes on rightly.
func TestPositionsCommand(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor, Args: []string{"--log-slave-updates=1"}})
			for _, test := range []struct {
				name string
				run  func(*testing.T, *cmdWorld)
			}{
				{"restored", commandRestored}, {"failover", commandFailover}, {"gap", commandGap}, {"another", commandAnotherServer},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, newCmdWorld(t, bin, srv, db, "pos_"+test.name)) })
			}
		})
	}
}

// source is the outbox of the world.
func (w *cmdWorld) source() *binlogSource {
	return &binlogSource{srv: w.srv, db: w.db, schema: w.schema}
}

// publish commits an event and runs the process until it is in the stream.
func (w *cmdWorld) publish(t *testing.T, id string, extra map[string]string, args ...string) *cmdDaemon {
	t.Helper()
	d := w.start(t, extra, args...)
	d.follows(t)
	w.insert(t, id)
	w.untilPublished(t, id)
	return d
}

func (w *cmdWorld) untilPublished(t *testing.T, id string) {
	t.Helper()
	consumerEventually(t, "event "+id, func() bool {
		ids := w.published(t)
		return len(ids) > 0 && ids[len(ids)-1] == id
	})
}

// published are the IDs of the stream, in order.
func (w *cmdWorld) published(t *testing.T) (ids []string) {
	t.Helper()
	st, err := w.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	for seq := st.CachedInfo().State.FirstSeq; seq <= st.CachedInfo().State.LastSeq; seq++ {
		msg, err := st.GetMsg(t.Context(), seq)
		if err != nil || msg.Header.Get("Outbox-Id") == "" { // a checkpoint that was replaced, or one
			continue
		}
		ids = append(ids, msg.Header.Get("Outbox-Id"))
	}
	return ids
}

// written is what a halt leaves as it is: the events, how many there are of the source, and
// the position. Who wrote it last, and when, is no part of it.
func (w *cmdWorld) written(t *testing.T) string {
	t.Helper()
	st, err := w.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	msg, err := st.GetLastMsgForSubject(t.Context(), "binjet.checkpoint.>")
	must(t, err)
	var record map[string]any
	must(t, json.Unmarshal(msg.Data, &record))
	for _, name := range []string{"epoch", "instance", "since", "nonce", "from", "prev_seq", "at", "released"} {
		delete(record, name)
	}
	position, err := json.Marshal(record)
	must(t, err)
	return fmt.Sprintf("%s behind %v", position, w.published(t))
}

// halts runs the process, which must end with exit code 3 and with nothing changed, and
// returns its last line.
func (w *cmdWorld) halts(t *testing.T, words ...string) (problem string) {
	t.Helper()
	return w.haltsWith(t, nil, words...)
}

func (w *cmdWorld) haltsWith(t *testing.T, args []string, words ...string) (problem string) {
	t.Helper()
	before := w.written(t)
	d := w.start(t, nil, args...)
	if code := d.wait(t); code != 3 {
		t.Fatalf("exit %d: %s", code, d.text())
	}
	if after := w.written(t); after != before {
		t.Errorf("halted, and left\n%s\nwhere there was\n%s", after, before)
	}
	lines := strings.Split(d.text(), "\n")
	var last struct{ Problem, Next, Cause string }
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	for _, word := range append(words, "position set", "source.name", "source.start") {
		if !strings.Contains(last.Problem+last.Next+last.Cause, word) {
			t.Errorf("no %q in %+v", word, last)
		}
	}
	return last.Problem
}

// commandRestored: an older backup, and then other events under the same numbers.
func commandRestored(t *testing.T, w *cmdWorld) {
	w.init(t)
	w.publish(t, "a", nil).stop(t)
	old := w.source().backup(t)
	w.publish(t, "b", nil).stop(t)
	w.source().restore(t, old)
	w.halts(t, "does not have", "the same as before")
	w.insert(t, "x")
	w.halts(t, "is in the stream as", "with 1 outbox rows", "sync_binlog")
	if got := strings.Join(w.published(t), " "); got != "a b" {
		t.Errorf("the stream holds %s", got)
	}
	if r := w.run(t, nil, "position", "set", "latest", "--reason=x is in no database", "--yes"); r.code != 0 { // as the halt says
		t.Fatalf("position set: %+v", r)
	}
	w.publish(t, "y", nil).stop(t)
	if got := strings.Join(w.published(t), " "); got != "a b y" {
		t.Errorf("the stream holds %s", got)
	}
}

// commandAnotherServer: the address is that of a server that has nothing to do
// with the checkpoint, of the same flavour and of the other one. Nothing changes.
func commandAnotherServer(t *testing.T, w *cmdWorld) {
	w.init(t)
	w.publish(t, "a", nil).stop(t)
	table, err := binjet.OutboxSQL(w.schema + ".outbox")
	must(t, err)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		srv, db := startDB(t, dbserver.Options{Flavor: flavor})
		execSQL(t, db, "CREATE DATABASE "+w.schema)
		execSQL(t, db, table)
		want := "does not have"
		if flavor != w.srv.Flavor() {
			want = "the position is one of " + string(w.srv.Flavor())
		}
		before := w.written(t)
		d := w.start(t, map[string]string{"BINJET_SOURCE_DSN": srv.DSN(w.schema), "BINJET_SOURCE_FAILOVER_WAIT": "0s"})
		if code := d.wait(t); code != 3 || !strings.Contains(d.text(), want) {
			t.Errorf("%s instead of %s: exit %d: %s", flavor, w.srv.Flavor(), code, d.text())
		}
		if after := w.written(t); after != before {
			t.Errorf("changed\n%s\nto\n%s", before, after)
		}
	}
}

// commandFailover: to a replica that has all, and to one that lacks something.
func commandFailover(t *testing.T, w *cmdWorld) {
	w.init(t)
	other := w.source().replica(t)
	w.publish(t, "a", nil).stop(t)
	other.untilRow(t, "a")
	w.env["BINJET_SOURCE_DSN"] = other.srv.DSN(w.schema)
	d := w.start(t, nil)
	d.eventually(t, "/readyz", 200, `"role": "leader"`)
	w.insert(t, "b")
	w.untilPublished(t, "b")
	d.stop(t)
	if !strings.Contains(d.text(), "the source is another server than before") && w.srv.Flavor() == dbserver.MySQL {
		t.Errorf("no word of the fail-over in %s", d.text())
	}

	// It falls behind: the process waits for it, and says so.
	other.replicate(t, "STOP", "SQL_THREAD")
	w.env["BINJET_SOURCE_DSN"] = w.srv.DSN(w.schema)
	w.publish(t, "c", nil).stop(t)
	w.env["BINJET_SOURCE_DSN"] = other.srv.DSN(w.schema)
	d = w.start(t, nil)
	d.eventually(t, "/readyz", 503, "waiting for it to receive them")
	other.replicate(t, "START", "SQL_THREAD")
	d.eventually(t, "/readyz", 200, `"role": "leader"`)
	w.insert(t, "d")
	w.untilPublished(t, "d")
	d.stop(t)

	// It is promoted without the last event.
	other.replicate(t, "STOP", "")
	w.env["BINJET_SOURCE_DSN"] = w.srv.DSN(w.schema)
	w.publish(t, "e", nil).stop(t)
	w.env["BINJET_SOURCE_DSN"] = other.srv.DSN(w.schema)
	w.env["BINJET_SOURCE_FAILOVER_WAIT"] = "500ms"
	w.halts(t, "does not have")
	if got := strings.Join(w.published(t), " "); got != "a b c d e" {
		t.Errorf("the stream holds %s", got)
	}
}

// commandGap: purged logs halt, until exactly what is missing is given up, once.
func commandGap(t *testing.T, w *cmdWorld) {
	_, _ = w.db.ExecContext(t.Context(), "SET GLOBAL slave_connections_needed_for_purge=0")
	w.init(t)
	w.publish(t, "a", nil).stop(t)
	w.insert(t, "gone")
	w.source().purge(t)
	w.insert(t, "kept")
	problem := w.halts(t, "no longer has", "--accept-loss='", "Outbox-Id")
	lost := strings.Fields(strings.TrimPrefix(problem[strings.Index(problem, "no longer has "):], "no longer has "))[0]
	if lost == "all" { // all up to …
		lost = strings.Fields(problem[strings.Index(problem, "all up to "):])[3]
	}
	lost = strings.TrimSuffix(lost, ",")

	w.haltsWith(t, []string{"--accept-loss=" + lost + "9"}, "which is not the same")
	if r := w.run(t, nil, "run", "--accept-loss=all"); r.code != 2 || !strings.Contains(r.stderr, "--accept-loss") {
		t.Errorf("a set that is none: %s", r)
	}
	d := w.start(t, nil, "--accept-loss="+lost)
	w.untilPublished(t, "kept")
	d.stop(t)
	if !strings.Contains(d.text(), `"level":"error"`) || !strings.Contains(d.text(), "lost for good") || !strings.Contains(d.text(), lost) {
		t.Errorf("the loss is not told: %s", d.text())
	}
	w.publish(t, "b", nil).stop(t)
	if got := strings.Join(w.published(t), " "); got != "a kept b" {
		t.Errorf("the stream holds %s", got)
	}
}

// purge deletes all binlogs but a new one.
func (s *binlogSource) purge(t *testing.T) {
	t.Helper()
	execSQL(t, s.db, "FLUSH BINARY LOGS")
	consumerEventually(t, "only one binlog is left", func() bool {
		logs := s.binlogs(t)
		execSQL(t, s.db, "PURGE BINARY LOGS TO '"+logs[len(logs)-1]+"'")
		return len(s.binlogs(t)) == 1
	})
}
