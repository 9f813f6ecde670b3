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

func TestStackIsOneLineAndComesBack(t *testing.T) {
	stack := []byte("goroutine 7 [running]:\nmain.handle(...)\n\t/src/main.go:12 +0x1d\nmain.main()\n\t/src/main.go:3\n")
	line := Stack(stack)
	if line != "goroutine 7 [running]: | main.handle(...) /src/main.go:12 +0x1d | main.main() /src/main.go:3" {
		t.Errorf("got %q", line)
	}
	if got := Lines(line); got != "goroutine 7 [running]:\nmain.handle(...) /src/main.go:12 +0x1d\nmain.main() /src/main.go:3" {
		t.Errorf("back: %q", got)
	}
	if got := Stack([]byte(strings.Repeat("é\n", 1<<20))); len(got) > maxStack+8 || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestTrim(t *testing.T) {
	for _, tc := range []struct {
		room int
		want string
	}{{0, "0123456789"}, {9, "0123456789"}, {-1, "012345…"}, {-6, "0…"}, {-7, ""}, {-100, ""}} {
		h := map[string][]string{"R": {"0123456789"}}
		Trim(h, "R", tc.room)
		Trim(h, "absent", tc.room)
		got := ""
		if v := h["R"]; v != nil {
			got = v[0]
		}
		if got != tc.want {
			t.Errorf("with room of %d: %q, want %q", tc.room, got, tc.want)
		}
	}
}

func TestReplaySubjects(t *testing.T) {
	replay := ReplaySubject("S", "billing", "orders.created")
	if replay != "dlq.S.$replay.billing.orders.created" || !IsReplay("S", replay) || IsReplay("S", Subject("S", "billing", "a")) || IsReplay("OTHER", replay) {
		t.Error(replay)
	}
	if name, topic := Parts("S", Subject("S", "billing", "orders.created")); name != "billing" || topic != "orders.created" {
		t.Error(name, topic)
	}
}
