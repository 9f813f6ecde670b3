package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestPositionsFileCommand runs the process on a server without GTIDs.
func TestPositionsFileCommand(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	s := startWithoutGTIDs(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cmdWorld)
	}{
		{"another", fileCommandAnother}, {"rescan", rescanHeals}, {"rescan_xa", rescanXA},
		{"reset", fileCommandReset}, {"takeover", fileCommandTakeOver},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newCmdWorld(t, bin, s.srv, s.db, "fc_"+test.name)) })
	}
}

// fileCommandTakeOver: a process is killed and another one takes over, from a file
// position, over a crash of the server, and while GTIDs are turned on. All of it is
// in the stream once.
func fileCommandTakeOver(t *testing.T, w *cmdWorld) {
	w.init(t)
	if r := w.run(t, nil, "check"); r.code != 0 || !strings.Contains(r.stdout, "warn  gtid_mode") || !strings.Contains(r.stdout, "can't follow a fail-over") {
		t.Errorf("check: %s", r)
	}
	var want []string
	n := 0
	insert := func() {
		t.Helper()
		n++
		want = append(want, fmt.Sprintf("e%03d", n))
		w.insert(t, want[n-1])
	}
	a := w.start(t, nil)
	a.follows(t)
	standby := func() *cmdDaemon {
		t.Helper()
		d := w.start(t, nil)
		d.eventually(t, "/readyz", 200, `"role": "standby"`)
		return d
	}
	b := standby()
	takeOver := func() {
		t.Helper()
		insert()
		w.untilPublished(t, want[n-1])
		must(t, a.cmd.Process.Kill())
		<-a.done
		insert()
		w.untilPublished(t, want[n-1])
		b.eventually(t, "/readyz", 200, `"role": "leader"`)
		a, b = b, standby()
	}
	takeOver()
	execSQL(t, w.db, "FLUSH BINARY LOGS")
	takeOver()
	a.eventually(t, "/readyz", 200, `"position": "binlog.00`)
	must(t, w.srv.Kill())
	must(t, w.srv.Restart(t.Context()))
	takeOver()

	s := w.source()
	s.gtidMode(t, "OFF_PERMISSIVE")
	insert()
	s.gtidMode(t, "ON_PERMISSIVE")
	takeOver() // by then all that was without GTID is published
	s.gtidMode(t, "ON")
	insert()
	a.eventually(t, "/readyz", 200, `"position": "`+querySQL(t, w.db, "SELECT @@server_uuid"))
	takeOver()
	if code := b.stop(t); code != 0 {
		t.Errorf("exit %d: %s", code, b.text())
	}
	if code := a.stop(t); code != 0 {
		t.Errorf("exit %d: %s", code, a.text())
	}
	if got := w.published(t); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the stream holds %v, want %v", got, want)
	}
	w.transactionsAre(t, `^binlog\.\d{6}:\d+$`, `^[0-9a-f-]{36}:\d+$`)
}

// transactionsAre wants the first event's transaction to be named like one pattern,
// and the last one's like another.
func (w *cmdWorld) transactionsAre(t *testing.T, first, last string) {
	t.Helper()
	st, err := w.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	oldest, err := st.GetMsg(t.Context(), 1, jetstream.WithGetMsgSubject("outbox.>"))
	must(t, err)
	newest, err := st.GetLastMsgForSubject(t.Context(), "outbox.>")
	must(t, err)
	for tx, pattern := range map[string]string{oldest.Header.Get(binjet.HeaderTx): first, newest.Header.Get(binjet.HeaderTx): last} {
		if !regexp.MustCompile(pattern).MatchString(tx) {
			t.Errorf("%s is %q, want %s", binjet.HeaderTx, tx, pattern)
		}
	}
}

// fileCommandAnother: the address is that of another server, without GTIDs too.
func fileCommandAnother(t *testing.T, w *cmdWorld) {
	w.init(t)
	w.publish(t, "a", nil).stop(t)
	other := startWithoutGTIDs(t)
	execSQL(t, other.db, "CREATE DATABASE "+w.schema)
	execSQL(t, other.db, "CREATE TABLE "+w.schema+".outbox LIKE shop.outbox")
	before := w.state(t)
	mine := w.env["BINJET_SOURCE_DSN"]
	w.env["BINJET_SOURCE_DSN"] = other.srv.DSN(w.schema)
	w.halts(t, "File positions can't follow a fail-over", querySQL(t, w.db, "SELECT @@server_uuid"), "correct its address")
	if after := w.state(t); after != before {
		t.Errorf("changed\n%s\nto\n%s", before, after)
	}
	w.env["BINJET_SOURCE_DSN"] = mine
	w.publish(t, "b", nil).stop(t)
	if got := strings.Join(w.published(t), " "); got != "a b" {
		t.Errorf("the stream holds %s", got)
	}
}

// fileCommandReset: the files begin anew under the same names.
func fileCommandReset(t *testing.T, w *cmdWorld) {
	w.init(t)
	w.publish(t, "a", nil).stop(t)
	execSQL(t, w.db, "DO SLEEP(1.1)")
	execSQL(t, w.db, testdb.ResetBinlogs(w.srv))
	w.insert(t, "b")
	w.halts(t, "RESET BINARY LOGS", "the same as before")
	if got := strings.Join(w.published(t), " "); got != "a" {
		t.Errorf("the stream holds %s", got)
	}
}
