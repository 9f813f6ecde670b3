package mapping

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
)

// TestPollingOutbox: a table whose rows a poller marked is given IDs by one
// statement, as docs/existing-tables.md has it, and read with its own columns. The
// IDs of rows that were there are those of the snapshot and of every later reading.
func TestPollingOutbox(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.exec(t, `CREATE TABLE outbox (seq BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, event_type VARCHAR(100) CHARACTER SET utf8mb4, order_id BIGINT,
			body LONGTEXT CHARACTER SET utf8mb4, inserted DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3), sent_at DATETIME NULL) ENGINE=InnoDB`)
		w.exec(t, "INSERT INTO outbox (event_type, order_id, body) VALUES ('orders.created', 1, 'a'), ('orders.paid', 2, 'b')")
		for _, statement := range giveIDs(t) {
			w.exec(t, statement)
		}
		change := func(c *binlog.Config) {
			c.Columns = binlog.Columns{ID: "event_id", Topic: "event_type", Key: "order_id", Payload: "body", CreatedAt: "inserted", Headers: binlog.NoColumn}
			c.OnUpdate = binlog.IgnoreUpdates
		}
		latest, err := w.reader(t, binlog.StartLatest, change).Begin(t.Context())
		must(t, err)
		w.exec(t, "INSERT INTO outbox (event_type, order_id, body) VALUES ('orders.created', 3, 'c')")
		w.exec(t, "UPDATE outbox SET sent_at = NOW()") // the poller still runs

		first, _ := read(t, w.reader(t, binlog.StartSnapshot, change), 3)
		again, _ := read(t, w.reader(t, binlog.StartSnapshot, change), 3)
		ids := make(map[string]string)
		for i := range first {
			ids[first[i].ID] = describe(&first[i])
		}
		if len(ids) != 3 {
			t.Fatalf("the three rows have the IDs %v", ids)
		}
		for i := range again {
			if ids[again[i].ID] != describe(&again[i]) {
				t.Errorf("read again, it is %s", describe(&again[i]))
			}
		}
		live, _ := readFrom(t, w.reader(t, binlog.StartLatest, change), &latest, 1)
		if len(live) != 1 || ids[live[0].ID] != describe(&live[0]) || live[0].Key != "3" || live[0].Topic != "orders.created" || live[0].CreatedAt.IsZero() {
			t.Errorf("by the binlog: %+v, by the snapshot: %v", live, ids)
		}
	})
}

// giveIDs are the statements of docs/existing-tables.md.
func giveIDs(t *testing.T) (statements []string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/existing-tables.md")
	must(t, err)
	_, section, _ := strings.Cut(string(doc), "## Message IDs")
	_, block, _ := strings.Cut(section, "```sql\n")
	block, _, _ = strings.Cut(block, "```")
	for statement := range strings.SplitSeq(strings.TrimSpace(block), ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements = append(statements, statement)
		}
	}
	if len(statements) != 3 {
		t.Fatalf("the page has the statements %q", statements)
	}
	return statements
}

// TestStartWhereDebeziumStopped: the GTID set of Debezium's offsets is a start
// policy as it stands, and what it holds is not read again.
func TestStartWhereDebeziumStopped(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.exec(t, `CREATE TABLE outbox (id CHAR(36) CHARACTER SET ascii PRIMARY KEY, aggregatetype VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
			aggregateid VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL, type VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL, payload JSON) ENGINE=InnoDB`)
		w.exec(t, "INSERT INTO outbox VALUES ('published', 'Order', '1', 'Created', '{}')")
		query := "SELECT @@gtid_executed"
		if w.mariaDB() {
			query = "SELECT @@gtid_binlog_pos"
		}
		var executed string
		must(t, w.db.QueryRowContext(t.Context(), query).Scan(&executed))
		offset, err := json.Marshal(map[string]any{"ts_sec": 1764324000, "file": "binlog.000042", "pos": 1337, "gtids": strings.ReplaceAll(executed, "\n", ""), "server_id": 1})
		must(t, err)
		w.exec(t, "INSERT INTO outbox VALUES ('next', 'Order', '1', 'Paid', '{}')")

		var stopped struct{ GTIDs string }
		must(t, json.Unmarshal(offset, &stopped))
		got, _ := read(t, w.reader(t, stopped.GTIDs, func(c *binlog.Config) {
			m := binlog.Debezium()
			c.Columns, c.Route, c.Headers, c.ContentType = m.Columns, m.Route, m.Headers, m.ContentType
		}), 1)
		if len(got) != 1 || got[0].ID != "next" || got[0].Topic != "Order.Paid" {
			t.Errorf("read %+v", got)
		}
	})
}
