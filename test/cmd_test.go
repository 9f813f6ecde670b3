package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestCmd runs the binjet command as a process against real servers.
func TestCmd(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor})
			for _, test := range []struct {
				name string
				run  func(*testing.T, *cmdWorld)
			}{
				{"init", cmdInit},
				{"init_refused", cmdInitRefused},
				{"run", cmdRun},
				{"outage", cmdOutage},
				{"halt", cmdHalt},
				{"grants", cmdGrants},
				{"xa", cmdXA},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, newCmdWorld(t, bin, srv, db, "cmd_"+test.name)) })
			}
			for i, fault := range cmdFaults(flavor) {
				t.Run("check/"+fault.name, func(t *testing.T) {
					fault.check(t, newCmdWorld(t, bin, srv, db, fmt.Sprintf("cmd_check%d", i)))
				})
			}
		})
	}
}

// cmdInit: the first init creates, the second one finds, and then all is well.
func cmdInit(t *testing.T, w *cmdWorld) {
	if r := w.run(t, nil, "check"); r.code != 1 || !strings.Contains(r.stdout, "binjet init creates it") || !strings.Contains(r.stdout, "will create stream OUTBOX") {
		t.Errorf("check before init: %s", r)
	}
	for i, word := range []string{"created", "exists"} {
		r := w.run(t, nil, "init")
		lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
		if r.code != 0 || len(lines) != 4 || strings.Count(r.stdout, word) != 4 || r.stderr != "" {
			t.Errorf("init %d: %s", i+1, r)
		}
	}
	before := w.state(t)
	r := w.run(t, nil, "check")
	if r.code != 0 || !strings.Contains(r.stdout, "checks passed") || strings.Contains(r.stdout, "FAIL") || r.stderr != "" {
		t.Errorf("check: %s", r)
	}
	if after := w.state(t); after != before {
		t.Errorf("check changed\n%s\nto\n%s", before, after)
	}
}

// cmdInitRefused: what can't be used is said, and nothing is changed.
func cmdInitRefused(t *testing.T, w *cmdWorld) {
	before := w.state(t)
	refused := func(name string, env map[string]string, words ...string) {
		t.Helper()
		r := w.run(t, env, "init")
		if r.code != 1 || r.stdout != "" || strings.Count(r.stderr, "binjet:") != 1 {
			t.Errorf("%s: %s", name, r)
		}
		for _, word := range words {
			if !strings.Contains(r.stderr, word) {
				t.Errorf("%s: no %q in: %s", name, word, r)
			}
		}
		if after := w.state(t); after != before {
			t.Errorf("%s: changed\n%s\nto\n%s", name, before, after)
		}
	}
	refused("no broker", map[string]string{"BINJET_NATS_URL": "nats://127.0.0.1:1"}, "nats.url")
	refused("no database server", map[string]string{"BINJET_SOURCE_DSN": "root@tcp(127.0.0.1:1)/x"}, "source.dsn")
	refused("no database", map[string]string{"BINJET_SOURCE_DSN": w.srv.DSN("nowhere")}, "create the database")
	refused("mapped columns", map[string]string{"BINJET_SOURCE_COLUMNS_PAYLOAD": "body"}, "source.columns", "create the table yourself")

	r := w.run(t, nil, "init", "--print-sql")
	if r.code != 0 || w.state(t) != before {
		t.Errorf("print-sql: %s", r)
	}
	execSQL(t, w.db, strings.Replace(strings.TrimSuffix(strings.TrimSpace(r.stdout), ";"), "`outbox`", w.schema+".outbox", 1))
	execSQL(t, w.db, "ALTER TABLE "+w.schema+".outbox DROP COLUMN payload")
	if r := w.run(t, nil, "init"); r.code != 1 || !strings.Contains(r.stderr, "outbox.payload: there is no such column") {
		t.Errorf("table without a column: %s", r)
	}
}

func (w *cmdWorld) insert(t *testing.T, id string) {
	t.Helper()
	execSQL(t, w.db, "INSERT INTO "+w.schema+".outbox (id, topic, payload) VALUES ('"+id+"', 'orders.created', 'x')")
}

// cmdRun: a leader and a standby, both ready; a clean stop hands over at once.
func cmdRun(t *testing.T, w *cmdWorld) {
	w.init(t)
	first := w.start(t, nil)
	first.eventually(t, "/readyz", 200, `"role": "leader"`)
	second := w.start(t, nil)
	second.eventually(t, "/readyz", 200, `"role": "standby"`)
	second.eventually(t, "/readyz", 200, `"leader_since": "20`)
	second.eventually(t, "/metrics", 200, "\nbinjet_leader_info{instance=\"")
	w.insert(t, "a")
	first.eventually(t, "/metrics", 200, "\nbinjet_events_published_total{source=\""+w.schema+"\"} 1\n")
	first.eventually(t, "/healthz", 200, "ok")
	if code := first.stop(t); code != 0 || !strings.HasSuffix(first.text(), `"message":"stopped"}`) {
		t.Errorf("exit %d: %s", code, first.text())
	}
	second.eventually(t, "/readyz", 200, `"role": "leader"`)
	w.insert(t, "b")
	second.eventually(t, "/metrics", 200, "\nbinjet_events_published_total{source=\""+w.schema+"\"} 1\n")
	if code := second.stop(t); code != 0 {
		t.Errorf("exit %d: %s", code, second.text())
	}
	held, err := store.New(w.nc, "OUTBOX", w.schema).Load(t.Context())
	must(t, err)
	if !held.Released || held.Count != 2 || held.Epoch != 2 {
		t.Errorf("after a clean stop the checkpoint is %+v", held)
	}
	if r := w.run(t, nil, "check"); r.code != 0 || !strings.Contains(r.stdout, "and released; the source can be read on from it") {
		t.Errorf("check: %s", r)
	}
}

// cmdOutage: readiness fails and says why while the broker is away, and comes back.
func cmdOutage(t *testing.T, w *cmdWorld) {
	w.init(t)
	d := w.start(t, map[string]string{"BINJET_RELAY_COMMIT_TIMEOUT": "200ms"})
	d.eventually(t, "/readyz", 200, `"role": "leader"`)
	w.nats.Stop()
	d.eventually(t, "/readyz", 503, "the newest checkpoint is")
	if code, body := d.get(t.Context(), "/healthz"); code != 200 {
		t.Errorf("healthz while the broker is away: %d %s", code, body)
	}
	w.nats.Start()
	d.eventually(t, "/readyz", 200, `"role": "leader"`)
	if code := d.stop(t); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// cmdHalt: a write that can't be published ends the process with 3 and a next step.
func cmdHalt(t *testing.T, w *cmdWorld) {
	w.init(t)
	d := w.start(t, nil)
	d.follows(t) // a row of the snapshot may have been logged in whatever format
	conn, err := w.db.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	for _, q := range []string{"USE " + w.schema, "SET SESSION binlog_format=STATEMENT",
		"INSERT INTO outbox (id, topic, payload) VALUES ('s', 'orders.created', 'x')", "SET SESSION binlog_format=ROW"} {
		_, err := conn.ExecContext(t.Context(), q)
		must(t, err)
	}
	if code := d.wait(t); code != 3 || !strings.Contains(d.text(), `"exit_code":3`) || !strings.Contains(d.text(), "binlog_format=ROW") {
		t.Errorf("exit %d: %s", code, d.text())
	}
}

// cmdGrants: once its snapshot is published, an account needs no more than
// REPLICATION SLAVE; what begins or reads the tables asks for the rest.
func cmdGrants(t *testing.T, w *cmdWorld) {
	w.init(t)
	execSQL(t, w.db, "CREATE USER modest@'%' IDENTIFIED BY 'x'")
	execSQL(t, w.db, "GRANT REPLICATION SLAVE ON *.* TO modest@'%'")
	execSQL(t, w.db, "GRANT SELECT, LOCK TABLES ON "+w.schema+".* TO modest@'%'")
	w.env["BINJET_SOURCE_DSN"] = strings.Replace(w.srv.DSN(w.schema), "root@", "modest:x@", 1)
	w.publish(t, "a", nil).stop(t)
	execSQL(t, w.db, "REVOKE SELECT, LOCK TABLES ON "+w.schema+".* FROM modest@'%'")
	if r := w.run(t, nil, "check"); r.code != 0 || strings.Contains(r.stdout, "grant SELECT") || strings.Contains(r.stdout, "grant LOCK TABLES") {
		t.Errorf("check behind the snapshot: %s", r)
	}
	w.publish(t, "b", nil).stop(t)
	for name, env := range map[string]map[string]string{
		"another source": {"BINJET_SOURCE_NAME": "another"}, "a rescan": {"BINJET_SOURCE_ON_GAP": "rescan"},
	} {
		if r := w.run(t, env, "check"); r.code != 1 || !strings.Contains(r.stdout, "GRANT SELECT ON") {
			t.Errorf("check of %s: %s", name, r)
		}
	}
}

// cmdXA: an XA transaction that keeps an event back shows in readiness and
// metrics until it is decided.
func cmdXA(t *testing.T, w *cmdWorld) {
	w.init(t)
	d := w.publish(t, "a", nil)
	s := w.source()
	s.prepareXA(t, "'late'", insertSQL("kept-back"))
	d.eventually(t, "/readyz", 200, `"oldest_xid": "`)
	gauge := "\nbinjet_xa_undecided{source=\"" + w.schema + "\"} "
	d.eventually(t, "/metrics", 200, gauge+"1\n")
	s.decideXA(t, "COMMIT", "'late'")
	w.untilPublished(t, "kept-back")
	d.eventually(t, "/metrics", 200, gauge+"0\n")
	if _, body := d.get(t.Context(), "/readyz"); strings.Contains(body, "oldest_xid") {
		t.Errorf("still undecided: %s", body)
	}
	if code := d.stop(t); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// cmdFault is a setting that keeps binjet from working.
type cmdFault struct {
	name  string
	spoil func(*testing.T, *cmdWorld) // after init; t.Cleanup undoes what is global
	fresh bool                        // spoil comes without init
	env   map[string]string
	code  int      // of check; 0 stands for 1
	fails int      // lines with FAIL; 0 stands for 1
	words []string // the fault and its mend
}

// check: the command says the fault and its mend, with the right exit code, and
// changes nothing; and neither does run.
func (f cmdFault) check(t *testing.T, w *cmdWorld) {
	if !f.fresh {
		w.init(t)
	}
	if f.spoil != nil {
		f.spoil(t, w)
	}
	want, fails := max(f.code, 1), max(f.fails, 1)
	before := w.state(t)
	r := w.run(t, f.env, "check")
	if want == 2 {
		fails = 0
	}
	if r.code != want || strings.Count(r.stdout, "FAIL") != fails {
		t.Errorf("check: %s", r)
	}
	for _, word := range f.words {
		if !strings.Contains(r.stdout+r.stderr, word) {
			t.Errorf("no %q in: %s", word, r)
		}
	}
	run := w.run(t, f.env, "run")
	if run.code != want {
		t.Errorf("run: %s", run)
	}
	for _, r := range []cmdResult{r, run} {
		if text := r.stdout + r.stderr; strings.Contains(text, "s3cret") || strings.Contains(text, "Usage:") {
			t.Errorf("a secret, or the help: %s", r)
		}
	}
	if after := w.state(t); after != before {
		t.Errorf("changed\n%s\nto\n%s", before, after)
	}
}

// cmdGlobal sets a global variable for the length of the test.
func cmdGlobal(name, value, normal string) func(*testing.T, *cmdWorld) {
	return func(t *testing.T, w *cmdWorld) {
		execSQL(t, w.db, "SET GLOBAL "+name+"="+value)
		t.Cleanup(func() {
			_, err := w.db.ExecContext(context.WithoutCancel(t.Context()), "SET GLOBAL "+name+"="+normal)
			must(t, err)
		})
	}
}

// cmdStream creates a stream in place of binjet's.
func cmdStream(change func(*jetstream.StreamConfig)) func(*testing.T, *cmdWorld) {
	return func(t *testing.T, w *cmdWorld) {
		must(t, w.js.DeleteStream(t.Context(), "OUTBOX"))
		c := jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>", "binjet.checkpoint." + w.schema},
			AllowRollup: true, AllowAtomicPublish: true, AllowMsgTTL: true}
		change(&c)
		_, err := w.js.CreateStream(t.Context(), c)
		must(t, err)
	}
}

func cmdFaults(flavor dbserver.Flavor) []cmdFault {
	other := "mariadb"
	if flavor == dbserver.MariaDB {
		other = "mysql"
	}
	list := []cmdFault{
		{name: "binlog_format", spoil: cmdGlobal("binlog_format", "STATEMENT", "ROW"), words: []string{"STATEMENT", "binlog_format=ROW"}},
		{name: "row_metadata", spoil: cmdGlobal("binlog_row_metadata", "MINIMAL", "FULL"), words: []string{"MINIMAL", "binlog_row_metadata=FULL"}},
		{name: "grants", spoil: cmdPoorAccount, words: []string{"does not have it", "GRANT REPLICATION SLAVE ON *.* TO 'poor'@'%';"}},
		{name: "columns", spoil: func(t *testing.T, w *cmdWorld) {
			execSQL(t, w.db, "ALTER TABLE "+w.schema+".outbox DROP COLUMN topic")
		}, words: []string{"column", "topic", "there is no such column", "add it"}},
		{name: "flavor", env: map[string]string{"BINJET_SOURCE_FLAVOR": other}, words: []string{"flavor", "configured flavour " + other}},
		{name: "password", env: map[string]string{"BINJET_SOURCE_DSN": "nobody:s3cret@tcp(ADDR)/x"}, words: []string{"Access denied", "check user and password"}},
		{name: "source unreachable", env: map[string]string{"BINJET_SOURCE_DSN": "root:s3cret@tcp(127.0.0.1:1)/SCHEMA"},
			words: []string{"127.0.0.1:1", "correct the address in source.dsn", "OUTBOX can be used"}},
		{name: "broker unreachable", env: map[string]string{"BINJET_NATS_URL": "nats://u:s3cret@127.0.0.1:1"},
			words: []string{"nats://127.0.0.1:1", "correct nats.url", "gtid_", "ROW"}},
		{name: "stream of someone else", spoil: cmdStream(func(c *jetstream.StreamConfig) { c.Subjects = []string{"logs.>"} }),
			fails: 2, words: []string{"do not cover outbox.>", "stream.name"}},
		{name: "subjects taken", fresh: true, fails: 2, spoil: func(t *testing.T, w *cmdWorld) {
			_, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALL", Subjects: []string{"outbox.>"}})
			must(t, err)
		}, words: []string{"stream ALL already takes subjects of outbox.>", "stream.subject_prefix"}},
		{name: "interest retention", spoil: cmdStream(func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }), words: []string{"retention", "must be limits"}},
		{name: "no atomic batches", spoil: cmdStream(func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }), words: []string{"allow_atomic"}},
		{name: "not managed", fresh: true, fails: 4, env: map[string]string{"BINJET_STREAM_MANAGE": "false"}, words: []string{"OUTBOX does not exist", "binjet init"}},
		{name: "unknown key", code: 2, env: map[string]string{"BINJET_CONFIG": "FILE"}, words: []string{"bad.yaml:2: unknown key source.tabels: did you mean source.tables?"}},
	}
	if flavor != dbserver.MySQL {
		for i := range list { // MariaDB has no gtid_ variables to check
			for j, word := range list[i].words {
				if word == "gtid_" {
					list[i].words[j] = "log_bin"
				}
			}
		}
	}
	for i := range list {
		list[i].fill()
	}
	return list
}

// fill puts what is only known in the test into the environment.
func (f *cmdFault) fill() {
	spoil, env := f.spoil, f.env
	f.spoil = func(t *testing.T, w *cmdWorld) {
		if spoil != nil {
			spoil(t, w)
		}
		for k, v := range env {
			if v == "FILE" {
				v = filepath.Join(t.TempDir(), "bad.yaml")
				must(t, os.WriteFile(v, []byte("source:\n  tabels: [outbox]\n"), 0o600))
			}
			env[k] = strings.NewReplacer("ADDR", w.srv.Addr(), "SCHEMA", w.schema).Replace(v)
		}
	}
}

// cmdPoorAccount has the process log in as somebody who may only read the outbox.
func cmdPoorAccount(t *testing.T, w *cmdWorld) {
	execSQL(t, w.db, "CREATE USER poor@'%' IDENTIFIED BY 's3cret'")
	execSQL(t, w.db, "GRANT SELECT, LOCK TABLES ON "+w.schema+".* TO poor@'%'")
	w.env["BINJET_SOURCE_DSN"] = strings.Replace(w.srv.DSN(w.schema), "root@", "poor:s3cret@", 1)
}
