package binlog

import (
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
)

// TestAssemblerMarksRows: a row that can't be published does not end the stream.
// It is handed on with its place and what could be read of it.
func TestAssemblerMarksRows(t *testing.T) {
	with := func(i int, v any) []any { r := outboxRow("n"); r[i] = v; return r }
	tests := map[string]struct {
		row  []any
		want string
	}{
		"NULL payload": {with(4, nil), "column payload is NULL"},
		"NULL topic":   {with(1, nil), "column topic is NULL"},
		"bad topic":    {with(1, "a b"), "white space"},
		"bad headers":  {with(3, []byte("[1]")), "headers column"},
		"reserved":     {with(3, []byte(`{"Nats-Msg-Id":"x"}`)), "reserved"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newTestAssembler(t)
			var g *group
			for _, ev := range []*replication.BinlogEvent{gtid(9), query("BEGIN"), insert("a"),
				rowsOf(replication.WRITE_ROWS_EVENTv2, outboxMap(), tt.row), insert("b"), xid()} {
				var err error
				if g, err = a.add(ev); err != nil {
					t.Fatal(err)
				}
			}
			if len(g.messages) != 3 || g.messages[1].ID != "n" || len(g.invalid) != 1 {
				t.Fatalf("got %s with %d invalid rows", summary(g), len(g.invalid))
			}
			bad := g.invalid[0].fault.invalid(g.invalid[0].index)
			for _, word := range []string{tt.want, "table shop.outbox, transaction " + sidText + ":9, row 2, ID \"n\""} {
				if !strings.Contains(bad.Reason, word) {
					t.Errorf("%q does not hold %q", bad.Reason, word)
				}
			}
			if bad.Index != 1 || strings.Contains(name, "headers") && string(bad.Headers) != "[1]" {
				t.Errorf("marked as %+v", bad)
			}
		})
	}
}

// TestRolledBackRowsAreNotMarked: what a savepoint drops was never there.
func TestRolledBackRowsAreNotMarked(t *testing.T) {
	bad := outboxRow("n")
	bad[1] = "a b"
	a := newTestAssembler(t)
	var g *group
	for _, ev := range []*replication.BinlogEvent{gtid(9), query("BEGIN"), query("SAVEPOINT x"),
		rowsOf(replication.WRITE_ROWS_EVENTv2, outboxMap(), bad), query("ROLLBACK TO x"), insert("b"), xid()} {
		var err error
		if g, err = a.add(ev); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.invalid) != 0 || len(g.messages) != 1 {
		t.Fatalf("got %s with %d invalid rows", summary(g), len(g.invalid))
	}
}
