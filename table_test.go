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
