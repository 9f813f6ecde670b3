package cli

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

func TestCLI(t *testing.T) {
	eachFlavor(t, map[string]func(*world){"status": status, "verify": verify, "position": position, "moved": moved, "dlq": dlq, "bench": bench})
}

// status: with a leader, without one, and with one side down.
func status(w *world) {
	w.wants(1, []string{"PROBLEM there is no checkpoint", "next: start binjet run"}, "status")
	stop := w.relay()
	w.insert("a", "b")
	w.covered(2)
	r := w.wants(0, []string{"lag 0 transactions", " leads ", "published 2 events", "healthy"}, "status")
	if strings.Contains(r.out, "PROBLEM") {
		w.t.Error(r)
	}
	stop()
	w.insert("c")
	needed := w.lastLog()
	w.exec("FLUSH BINARY LOGS")
	w.insert("d")
	w.wants(1, []string{"lag 2 transactions, the oldest from", "has stopped", "PROBLEM nobody leads", "still needed from " + needed + " on"}, "status")
	var report struct {
		Source struct {
			LagTransactions int     `json:"lag_transactions"`
			LagSeconds      float64 `json:"lag_seconds"`
		}
		Relay struct{ Released bool }
	}
	r = w.wants(1, nil, "status", "-o", "json")
	must(w.t, json.Unmarshal([]byte(r.out), &report))
	if report.Source.LagTransactions != 2 || report.Source.LagSeconds <= 0 || !report.Relay.Released {
		w.t.Errorf("%+v", report)
	}
	w.wants(1, []string{"PROBLEM the stream is"}, "status", "--max-lag=1us")
	w.wants(1, []string{"DOWN", "published 2 events"}, "status", "--dsn=root@tcp(127.0.0.1:1)/"+w.schema)
	w.wants(1, []string{"DOWN", "ends at"}, "status", "--nats-url=nats://127.0.0.1:1")
}

// lastLog is the binlog that is written.
func (w *world) lastLog() string {
	w.t.Helper()
	rows, err := w.srv.db.QueryContext(w.t.Context(), testdb.BinlogStatus(w.srv.Server))
	must(w.t, err)
	defer rows.Close()
	names, err := rows.Columns()
	must(w.t, err)
	values := make([]any, len(names))
	var file string
	values[0] = &file
	for i := 1; i < len(values); i++ {
		values[i] = new(any)
	}
	if !rows.Next() {
		w.t.Fatal("the server writes no binlog")
	}
	must(w.t, rows.Scan(values...))
	return file
}

// verify finds each kind of damage that is done to the stream, and nothing where
// there is none.
func verify(w *world) {
	stop := w.relay()
	w.covered(0) // rows of the start snapshot have no order
	w.insert("a", "b", "c", "d", "e", "f")
	w.published(6)
	w.wants(0, []string{"compared 6 rows, 6 events", "missing 0", "OK"}, "verify")
	stop()
	w.insert("late")
	w.wants(0, []string{"compared 7 rows, 6 events", "not compared 1 rows that the relay has still to publish"}, "verify", "--wait=0s")
	w.relay() // and what is done to the stream from here on it does not see
	w.published(7)
	w.wants(0, []string{"compared 7 rows, 7 events"}, "verify")

	stream, err := w.js.Stream(w.t.Context(), "OUTBOX")
	must(w.t, err)
	held := w.messages(stream)
	must(w.t, stream.DeleteMsg(w.t.Context(), held["b"].Sequence)) // missing
	w.copy(held["c"])                                              // repeated
	for _, id := range []string{"e", "d"} {                        // swapped
		must(w.t, stream.DeleteMsg(w.t.Context(), held[id].Sequence))
		w.copy(held[id])
	}
	w.exec("DELETE FROM " + w.schema + ".outbox WHERE id = 'f'") // extra
	_, err = w.js.Publish(w.t.Context(), "outbox.orders.created", []byte("foreign"))
	must(w.t, err)

	r := w.wants(1, nil, "verify", "-o", "json")
	var report struct {
		Found    map[string]int
		Findings []struct{ Kind, ID string }
	}
	must(w.t, json.Unmarshal([]byte(r.out), &report))
	for _, want := range []struct{ kind, id string }{{"missing", "b"}, {"repeated", "c"}, {"disorder", "d"}, {"extra", "f"}, {"foreign", ""}} {
		if !slices.ContainsFunc(report.Findings, func(f struct{ Kind, ID string }) bool { return f.Kind == want.kind && f.ID == want.id }) {
			w.t.Errorf("%s %q is not found: %s", want.kind, want.id, r)
		}
	}
	if report.Found["missing"] != 1 || report.Found["extra"] != 1 || report.Found["repeated"] != 1 || report.Found["foreign"] != 1 {
		w.t.Errorf("found %v", report.Found)
	}
	w.wants(1, []string{"extra 0"}, "verify", "--rows-deleted")
	w.wants(0, []string{"compared 0 rows"}, "verify", "--since=2099-01-01T00:00:00Z", "--until=2099-01-02T00:00:00Z", "--rows-deleted")
}

func (w *world) messages(stream jetstream.Stream) map[string]*jetstream.RawStreamMsg {
	w.t.Helper()
	held := make(map[string]*jetstream.RawStreamMsg)
	info, err := stream.Info(w.t.Context())
	must(w.t, err)
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		if m, err := stream.GetMsg(w.t.Context(), seq); err == nil {
			held[m.Header.Get(binjet.HeaderID)] = m
		}
	}
	return held
}

// copy publishes an event again, as it was.
func (w *world) copy(m *jetstream.RawStreamMsg) {
	w.t.Helper()
	again := nats.NewMsg(m.Subject)
	again.Data = m.Data
	for name, values := range m.Header {
		if !strings.HasPrefix(name, "Nats-") {
			again.Header[name] = values
		}
	}
	_, err := w.js.PublishMsg(w.t.Context(), again)
	must(w.t, err)
}

// position is set under a leader, with force only, and that goes on from there.
func position(w *world) {
	stop := w.relay()
	w.insert("a", "b", "c")
	back := w.covered(3)
	w.insert("d", "e")
	w.covered(5)
	set := []string{"position", "set", back, "--reason=handlers lost d and e"}
	w.wants(0, []string{"skipped nothing", "repeated 2 events of 2 transactions"}, append(set, "--dry-run")...)
	w.wants(2, []string{"give the --reason"}, "position", "set", back, "--yes")
	w.wants(1, []string{"leads, and nothing was changed", "--force"}, append(set, "--yes")...)
	w.wants(2, []string{"--yes"}, append(set, "--force")...)
	if ids := w.published(5); len(ids) != 5 {
		w.t.Errorf("published %v", ids)
	}
	w.wants(0, []string{"set to " + back}, append(set, "--force", "--yes")...)
	if ids := w.published(7); !slices.Equal(ids, []string{"a", "b", "c", "d", "e", "d", "e"}) {
		w.t.Errorf("published %v", ids)
	}
	w.insert("f")
	w.published(8)
	w.wants(0, []string{"was set by", "handlers lost d and e"}, "position", "show")
	unknown := "0-1-99999999"
	if w.srv.Flavor() == dbserver.MySQL {
		unknown = strings.Split(back, ":")[0] + ":1-99999999"
	}
	w.wants(3, []string{"can't be read from there"}, "position", "set", unknown, "--reason=x", "--yes", "--force")
	stop()
	w.behind()
}

// behind: an event of a relay that was killed before its checkpoint followed is told of,
// with --dry-run too, and passed over by a position behind it.
func (w *world) behind() {
	w.t.Helper()
	w.insert("g")
	g := nats.NewMsg("outbox.orders.created")
	g.Header.Set(binjet.HeaderID, "g")
	g.Header.Set(binjet.HeaderSource, w.schema)
	_, err := w.js.PublishMsg(w.t.Context(), g)
	must(w.t, err)
	latest := []string{"position", "set", "latest", "--reason=g is there"}
	const said = "behind 1 events lie in the stream behind that already, g at sequence"
	w.wants(0, []string{"skipped 1 events of 1 transactions", said}, append(latest, "--dry-run")...)
	w.wants(0, []string{`"behind": { "events": 1, "first": "g", "last": "g",`}, append(latest, "--dry-run", "-o", "json")...)
	w.wants(0, []string{said, "any relay goes on from there"}, append(latest, "--yes")...)
	w.relay()
	w.insert("h")
	if ids := w.published(10); !slices.Equal(ids[7:], []string{"f", "g", "h"}) {
		w.t.Errorf("published %v", ids)
	}
}

// moved: the stream is lost, and the saved position takes the source to a new one.
func moved(w *world) {
	stop := w.relay()
	w.insert("a", "b")
	w.covered(2)
	stop()
	file := filepath.Join(w.dir, "position.json")
	w.ok("position", "export", file)
	w.insert("c")
	w.wants(1, []string{"holds a checkpoint of this source already", "position set moves it"}, "position", "import", file, "--reason=x", "--yes")
	must(w.t, w.js.DeleteStream(w.t.Context(), "OUTBOX"))
	must(w.t, w.js.DeleteKeyValue(w.t.Context(), binjet.CheckpointBucket))
	w.ok("init")
	w.wants(1, []string{"is of source " + w.schema + ", and this is other"}, "position", "import", file, "--reason=x", "--yes", "--source-name=other")
	w.wants(0, []string{"would import"}, "position", "import", file, "--reason=x", "--dry-run")
	w.wants(0, []string{"any relay goes on from there"}, "position", "import", file, "--reason=stream lost", "--yes")
	w.relay()
	if ids := w.published(1); !slices.Equal(ids, []string{"c"}) {
		w.t.Errorf("published %v", ids)
	}
}

// dlq: a row that can't be published, and an event that a handler gave up.
func dlq(w *world) {
	w.relay()
	w.exec("INSERT INTO " + w.schema + ".outbox (id, topic, payload) VALUES ('bad', 'a..b', 'x')")
	w.insert("a")
	w.published(1)
	well := make(chan struct{})
	handled := make(chan string, 2)
	c, err := consumer.New(w.js, consumer.Config{Name: "billing"})
	must(w.t, err)
	c.Handle(">", func(_ context.Context, m *consumer.Message) error {
		select {
		case <-well:
			handled <- m.ID
			return nil
		default:
			return consumer.Discard(errors.New("no such account"))
		}
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() { cancel(); must(w.t, <-done) }()
	w.eventually("two dead letters", func() bool { return strings.Count(w.ok("dlq", "list"), "\n") == 3 })

	w.wants(0, []string{w.schema + " (quarantined)", "billing", "no such account"}, "dlq", "list")
	w.wants(0, []string{"would replay 1 dead letter; 1 quarantined row passed over"}, "dlq", "replay", "--all", "--dry-run")
	close(well)
	w.eventually("a replay", func() bool { // once the consumer reads replays
		return w.binjet("dlq", "replay", "--by=billing", "--rate=10/s", "--yes").out == "replayed 1 of 1 dead letter\n"
	})
	if id := <-handled; id != "a" {
		w.t.Errorf("handled %s", id)
	}
	w.wants(0, []string{"dropped 1 of 1"}, "dlq", "drop", "--reason=empty token", "--yes")
	w.wants(0, []string{"no dead letters"}, "dlq", "list")
}
