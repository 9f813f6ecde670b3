package deadletter

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReasonFitsIntoAHeader(t *testing.T) {
	got := Reason("a\r\nb\x00c \xff" + strings.Repeat("é", 2000))
	if strings.ContainsAny(got, "\r\n\x00") || !strings.HasPrefix(got, "a b c ?é") || len(got) > maxReason+8 || !utf8.ValidString(got) {
		t.Fatalf("%d bytes: %.40q…", len(got), got)
	}
}

func TestNames(t *testing.T) {
	if got := Subject("OUTBOX", "billing", "orders.created"); got != "dlq.OUTBOX.billing.orders.created" {
		t.Error(got)
	}
	if c := Config("OUTBOX", 0); c.Name != "OUTBOX_DLQ" || c.Subjects[0] != "dlq.OUTBOX.>" || c.Replicas != 1 {
		t.Errorf("%+v", c)
	}
}
