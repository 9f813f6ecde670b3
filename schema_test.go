package binjet

import (
	"strings"
	"testing"
)

func TestQuoteTable(t *testing.T) {
	for in, want := range map[string]string{
		"outbox": "`outbox`", "shop.outbox": "`shop`.`outbox`", "my-db.$t_1": "`my-db`.`$t_1`", "1": "`1`",
		strings.Repeat("a", 64): "`" + strings.Repeat("a", 64) + "`",
	} {
		if got, err := QuoteTable(in); err != nil || got != want {
			t.Errorf("%q: got %s, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", ".", "a.", ".a", "a.b.c", "a b", "a`b", "`a`", "a;b", "a'b", `a"b`, "a\x00", "é", "a/*", "a(b)", strings.Repeat("a", 65),
	} {
		if got, err := QuoteTable(in); err == nil || got != "" {
			t.Errorf("%q: got %s, want an error", in, got)
		}
	}
}

func TestOutboxSQL(t *testing.T) {
	got, err := OutboxSQL("shop.events")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "CREATE TABLE IF NOT EXISTS `shop`.`events` (") || !strings.HasSuffix(got, "ENGINE=InnoDB") || strings.Contains(got, "{{") {
		t.Fatalf("got %s", got)
	}
	for _, column := range []string{ColumnID, ColumnTopic, ColumnKey, ColumnHeaders, ColumnPayload, ColumnCreatedAt} {
		if !strings.Contains(got, "\n  "+column+" ") {
			t.Errorf("no column %s", column)
		}
	}
	if got, err := OutboxSQL("a`b"); err == nil {
		t.Fatalf("got %s", got)
	}
}
