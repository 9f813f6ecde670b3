package faults

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/internal/dbserver"
)

// truth is what must be in the stream: the IDs that lie in the table, in the
// order in which the raw binlog holds their inserts. The table says what
// committed, the log says when; neither is asked for the other.
func (w *world) truth() (ids []string) {
	w.t.Helper()
	kept := w.tableIDs()
	files := w.binlogFiles()
	for _, id := range w.rawInserts(files[0], files[len(files)-1]) {
		if kept[id] {
			ids = append(ids, id)
			delete(kept, id)
		}
	}
	if len(kept) > 0 {
		w.t.Fatalf("%d rows of the table are not in the binlog", len(kept))
	}
	return ids
}

func (w *world) tableIDs() map[string]bool {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), "SELECT id FROM outbox")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	ids := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			w.t.Fatal(err)
		}
		ids[id] = true
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func (w *world) binlogFiles() (files []string) {
	w.t.Helper()
	w.exec("FLUSH BINARY LOGS")
	rows, err := w.db.QueryContext(w.t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		w.t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(cols))
		for i := range values {
			values[i] = new(string)
		}
		if err := rows.Scan(values...); err != nil {
			w.t.Fatal(err)
		}
		files = append(files, *values[0].(*string))
	}
	return files
}

// rawInserts reads the log from file first until file last begins, and returns
// the first column of every row inserted into the outbox, rolled back ones included.
func (w *world) rawInserts(first, last string) (ids []string) {
	w.t.Helper()
	w.rawEvents(first, last, func(ev *replication.BinlogEvent) {
		e, ok := ev.Event.(*replication.RowsEvent)
		if !ok || e.Type() != replication.EnumRowsEventTypeInsert || string(e.Table.Table) != "outbox" {
			return
		}
		for _, row := range e.Rows {
			ids = append(ids, row[0].(string))
		}
	})
	return ids
}

// rawEvents reads the log from file first until file last begins.
func (w *world) rawEvents(first, last string, add func(*replication.BinlogEvent)) {
	w.t.Helper()
	host, port, _ := net.SplitHostPort(w.srv.Addr())
	n, _ := strconv.Atoi(port)
	flavor := mysql.MySQLFlavor
	if w.srv.Flavor() == dbserver.MariaDB {
		flavor = mysql.MariaDBFlavor
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4242, Flavor: flavor, Host: host, Port: uint16(n), User: "root",
		DisableRetrySync: true, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	streamer, err := syncer.StartSync(mysql.Position{Name: first, Pos: 4})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		ev, err := streamer.GetEvent(ctx)
		if err != nil {
			w.t.Fatal(errors.Join(errors.New("read the raw binlog"), err))
		}
		if e, ok := ev.Event.(*replication.RotateEvent); ok && string(e.NextLogName) == last {
			return
		}
		add(ev)
	}
}

// compare says exactly where the stream is not the truth.
func compare(t *testing.T, events []streamEvent, truth []string) {
	t.Helper()
	seen := map[string]int{}
	for _, e := range events {
		seen[e.id]++
	}
	var lost, extra, repeated []string
	want := map[string]bool{}
	for _, id := range truth {
		want[id] = true
		if seen[id] == 0 {
			lost = append(lost, id)
		}
	}
	for id, n := range seen {
		if !want[id] {
			extra = append(extra, id)
		}
		if n > 1 {
			repeated = append(repeated, id)
		}
	}
	if len(lost)+len(extra)+len(repeated) > 0 {
		t.Fatalf("%d committed, %d in the stream; lost %d %v, extra %d %v, repeated %d %v",
			len(truth), len(events), len(lost), some(lost), len(extra), some(extra), len(repeated), some(repeated))
	}
	for i, e := range events {
		if e.id != truth[i] {
			t.Fatalf("event %d of the stream is %s, in the binlog it is %s", i, e, truth[i])
		}
	}
}

// some are the first few, for a message.
func some(ids []string) []string { return ids[:min(len(ids), 3)] }

// contiguous checks that a transaction's events stand together, numbered through.
func contiguous(t *testing.T, events []streamEvent) {
	t.Helper()
	done := map[string]bool{}
	for i := 0; i < len(events); {
		tx := events[i].tx
		if done[tx] {
			t.Fatalf("transaction %s goes on at %s after others", tx, events[i])
		}
		done[tx] = true
		n := 1
		for i+n < len(events) && events[i+n].tx == tx {
			n++
		}
		for k := range n {
			if want := strconv.Itoa(k+1) + "/" + strconv.Itoa(n); events[i+k].txIndex != want {
				t.Fatalf("%s should be %s of its transaction", events[i+k], want)
			}
		}
		i += n
	}
}
