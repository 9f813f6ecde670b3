package mapping

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

const (
	traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	// As java.util.Properties.store writes it.
	tracing = "#Sat Nov 28 10:00:00 UTC 2026\ntraceparent=" + traceparent + "\ntracestate=a\\=b\\:c\n"

	textID    = "0192f1a0-1111-7000-8000-0000000000ab"
	binaryID  = "6ccd780c-baba-1026-9564-5b8c65602400" // its bytes end in a zero
	nativeID  = "0192f1a0-2222-7000-8000-000000000000"
	nullID    = "0192f1a0-3333-7000-8000-000000000001"
	badID     = "0192f1a0-3333-7000-8000-000000000002"
	wantedBad = 2
)

// TestDebezium: tables of Debezium's outbox event router, with UUIDs of every kind,
// go to the stream as documented, byte for byte the same by a snapshot and by the
// binlog; a row that leaves a hole in the topic lies in the dead-letter stream.
func TestDebezium(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		c := newCommand(t, w, map[string]string{"BINJET_SOURCE_PRESET": "debezium", "BINJET_SOURCE_HEADERS": "type:eventType,tenant?"})
		tables := []string{"outbox", "outbox_binary"}
		w.exec(t, `CREATE TABLE outbox_binary (id BINARY(16) PRIMARY KEY, aggregatetype VARCHAR(255) NOT NULL, aggregateid BIGINT NOT NULL,
			type VARCHAR(255), payload JSON, tenant BIGINT UNSIGNED) ENGINE=InnoDB CHARACTER SET utf8mb4`)
		native := w.can(t, "CREATE TABLE outbox_native (id UUID PRIMARY KEY, aggregatetype VARCHAR(255), aggregateid UUID, type ENUM('Paid'), payload LONGTEXT) ENGINE=InnoDB CHARACTER SET utf8mb4")
		if native {
			tables = append(tables, "outbox_native")
		}
		c.env["BINJET_SOURCE_TABLES"] = strings.Join(tables, ",")
		c.succeeds(t, "init") // makes the table outbox
		c.succeeds(t, "check")

		w.exec(t, "INSERT INTO outbox VALUES (?,'Order','4711','Created','{\"total\":1}',?)", textID, tracing)
		w.exec(t, "INSERT INTO outbox_binary VALUES (UNHEX(REPLACE(?,'-','')),'Customer',-12,'com.acme.Moved','{\"to\":\"Köln\"}',18446744073709551615)", binaryID)
		w.exec(t, "INSERT INTO outbox_binary VALUES (UNHEX(REPLACE(?,'-','')),'Customer',1,NULL,'{}',1), (UNHEX(REPLACE(?,'-','')),'Customer',1,'no token','{}',1)", nullID, badID)
		want := map[string]nats.Msg{
			textID: {Subject: "Order.Created", Data: []byte(`{"total":1}`), Header: nats.Header{"Outbox-Topic": {"Order.Created"}, "Outbox-Key": {"4711"},
				"Content-Type": {"application/json"}, "eventType": {"Created"}, "traceparent": {traceparent}, "tracestate": {"a=b:c"}}},
			binaryID: {Subject: "Customer.com.acme.Moved", Data: []byte(`{"to":"Köln"}`), Header: nats.Header{"Outbox-Topic": {"Customer.com.acme.Moved"}, "Outbox-Key": {"-12"},
				"Content-Type": {"application/json"}, "eventType": {"com.acme.Moved"}, "tenant": {"18446744073709551615"}}},
		}
		if native {
			w.exec(t, "INSERT INTO outbox_native VALUES (?,'Invoice',?,'Paid','1')", nativeID, binaryID)
			want[nativeID] = nats.Msg{Subject: "Invoice.Paid", Data: []byte("1"), Header: nats.Header{"Outbox-Topic": {"Invoice.Paid"}, "Outbox-Key": {binaryID},
				"Content-Type": {"application/json"}, "eventType": {"Paid"}}}
		}
		for _, start := range []string{"snapshot", "earliest"} {
			own := map[string]string{"BINJET_SOURCE_NAME": start, "BINJET_SOURCE_START": start, "BINJET_STREAM_NAME": start, "BINJET_STREAM_SUBJECT_PREFIX": start}
			stop := c.run(t, own)
			got := c.messages(t, start, start+".>", len(want))
			for id, m := range want {
				compare(t, start, id, got[id], m)
			}
			dead := c.messages(t, start+"_DLQ", "dlq.>", wantedBad)
			for id, reason := range map[string]string{nullID: "column type is NULL", badID: "column type holds no tokens of a subject"} {
				if d := dead[id]; d == nil || !strings.Contains(d.Header.Get(binjet.HeaderDeadReason), reason) {
					t.Errorf("%s: dead letters are %v, none of %s with %q", start, dead, id, reason)
				}
			}
			if out, code := c.output(t, own, "verify"); code != 0 {
				t.Errorf("%s: verify ends with code %d:\n%s", start, code, out)
			}
			stop()
		}
	})
}

// compare wants subject, payload and all headers that do not depend on when and by
// whom the row was published.
func compare(t *testing.T, start, id string, got *nats.Msg, want nats.Msg) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: %s is not on the stream", start, id)
		return
	}
	header := maps.Clone(got.Header)
	for _, name := range []string{binjet.HeaderID, binjet.HeaderSource, binjet.HeaderTx, binjet.HeaderTxIndex, binjet.HeaderCreatedAt} {
		delete(header, name)
	}
	maps.DeleteFunc(header, func(name string, _ []string) bool { return strings.HasPrefix(name, "Nats-") }) // the broker's
	if got.Subject != start+"."+want.Subject || string(got.Data) != string(want.Data) || !maps.EqualFunc(header, want.Header, slices.Equal[[]string]) {
		t.Errorf("%s: got %s %q %s, want %s %q %s", start, got.Subject, header, got.Data, want.Subject, want.Header, want.Data)
	}
}

// TestTemplatesAreCheckedAtTheStart: what can be told without the database is a
// fault of the configuration; an unknown column, a finding of check, and run does not begin.
func TestTemplatesAreCheckedAtTheStart(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		c := newCommand(t, w, map[string]string{"BINJET_SOURCE_PRESET": "debezium"})
		c.succeeds(t, "init")
		for _, tt := range []struct {
			command, key, value string
			code                int
			want                []string
		}{
			{"run", "BINJET_SOURCE_ROUTE_TOPIC", "${aggregatetype", 2, []string{"source.route.topic", "without its }"}},
			{"run", "BINJET_SOURCE_ROUTE_TOPIC", "${aggregatetype}..x", 2, []string{"source.route.topic", "empty token"}},
			{"run", "BINJET_SOURCE_HEADERS", "type:Nats-Msg-Id", 2, []string{"source.headers", "reserved"}},
			{"check", "BINJET_SOURCE_ROUTE_TOPIC", "${agregatetype}.${type}", 1, []string{"outbox.agregatetype", "no such column", "topic ${agregatetype}.${type} is made of it"}},
			{"run", "BINJET_SOURCE_ROUTE_TOPIC", "${agregatetype}.${type}", 1, []string{"outbox.agregatetype", "no such column"}},
			{"run", "BINJET_SOURCE_ROUTE_KEY", "${tenant}-${aggregateid}", 1, []string{"outbox.tenant", "no such column"}},
			{"run", "BINJET_SOURCE_HEADERS", "tenant", 1, []string{"outbox.tenant", "no such column"}},
		} {
			out, code := c.output(t, map[string]string{tt.key: tt.value}, tt.command)
			for _, want := range tt.want {
				if code != tt.code || !strings.Contains(out, want) {
					t.Errorf("%s with %s=%s: exit %d, want %d and %q in\n%s", tt.command, tt.key, tt.value, code, tt.code, want, out)
				}
			}
		}
	})
}
