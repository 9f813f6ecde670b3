package schema

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/dbserver"
)

func (w *world) insert(t *testing.T, id string) {
	t.Helper()
	w.exec(t, "INSERT INTO outbox (id, topic, payload) VALUES ('"+id+"', 'orders.created', 'x')")
}

// untilStored waits until the stream holds n messages.
func untilStored(t *testing.T, js jetstream.JetStream, n int) []jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := js.OrderedConsumer(ctx, "OUTBOX", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"outbox.>"}})
	must(t, err)
	var list []jetstream.Msg
	for len(list) < n {
		m, err := c.Next(jetstream.FetchContext(ctx))
		if err != nil {
			t.Fatalf("%d of %d messages: %v", len(list), n, err)
		}
		list = append(list, m)
	}
	return list
}

// untilFollows waits until the start snapshot is over and a streamer reads the binlog.
func (w *world) untilFollows(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := js.OrderedConsumer(ctx, "OUTBOX", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"binjet.checkpoint." + w.schema}})
	must(t, err)
	for {
		m, err := c.Next(jetstream.FetchContext(ctx))
		must(t, err)
		var at struct{ Snapshot *struct{} }
		must(t, json.Unmarshal(m.Data(), &at))
		if at.Snapshot == nil {
			return
		}
	}
}

// TestDown: a table goes when all of its rows are published, or have never been;
// else nothing is dropped.
func TestDown(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.want(t, 0, nil, "schema", "up")
		w.want(t, 2, []string{"DROP TABLE IF EXISTS `outbox`;", "--yes"}, "schema", "down")
		w.insert(t, "a")
		w.want(t, 3, []string{"not known", "Nothing was dropped", "--force-data-loss"}, "schema", "down", "--yes") // no broker
		js := w.broker(t)
		w.want(t, 0, nil, "init")
		w.want(t, 3, []string{"no checkpoint of source"}, "schema", "down", "--yes")
		stop := w.stream(t)
		untilStored(t, js, 1)
		w.untilFollows(t, js)
		stop()
		w.insert(t, "b")
		w.want(t, 3, []string{"holds rows that are not published: the checkpoint lacks"}, "schema", "down", "--yes")
		if n := w.query(t, "SELECT COUNT(*) FROM outbox"); n != "2" {
			t.Fatalf("%s rows are left", n)
		}
		stop = w.stream(t)
		untilStored(t, js, 2)
		for _, id := range []string{"c", "d", "e"} { // a streamer that runs catches up while the table is locked
			w.insert(t, id)
		}
		w.want(t, 0, []string{"dropped"}, "schema", "down", "--yes")
		untilStored(t, js, 5)
		stop()
		w.want(t, 0, []string{"absent"}, "schema", "down", "--yes")
	})
}

// TestDownForced: without rows nobody is asked, and with the flag nobody either.
func TestDownForced(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.want(t, 0, nil, "schema", "up", "--tables=outbox,other")
		w.insert(t, "a")
		w.want(t, 0, []string{"dropped"}, "schema", "down", "--yes", "--tables=other")
		tx, err := w.db.BeginTx(t.Context(), nil)
		must(t, err)
		defer tx.Rollback()
		_, err = tx.ExecContext(t.Context(), "INSERT INTO outbox (id, topic, payload) VALUES ('open', 't', '')")
		must(t, err)
		w.want(t, 1, []string{"end the transaction"}, "schema", "down", "--yes", "--force-data-loss")
		must(t, tx.Rollback())
		w.want(t, 0, []string{"dropped"}, "schema", "down", "--yes", "--force-data-loss")
		if left := w.tables(t); left != "" {
			t.Error(left)
		}
	})
}

// TestDownOtherServer: the position in the stream is that of another server, which
// tells nothing of the rows of this one.
func TestDownOtherServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbserver.MySQL)
	js := w.broker(t)
	w.want(t, 0, nil, "init")
	w.insert(t, "a")
	stop := w.stream(t)
	untilStored(t, js, 1)
	w.untilFollows(t, js)
	stop()
	other := newWorld(t, dbserver.MariaDB)
	other.nats, other.env = w.nats, []string{"BINJET_SOURCE_NAME=" + w.schema}
	other.want(t, 0, nil, "schema", "up")
	other.insert(t, "b")
	other.want(t, 3, []string{"can't be compared with this server"}, "schema", "down", "--yes")
	if n := other.query(t, "SELECT COUNT(*) FROM outbox"); n != "1" {
		t.Errorf("%s rows are left", n)
	}
}
