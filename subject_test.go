package binjet

import (
	"strings"
	"testing"
)

func TestCheckTopic(t *testing.T) {
	for _, topic := range []string{"a", "a.b", "orders.created.v1", "$x", "a-b_c/d:e", strings.Repeat("a", 255)} {
		if err := CheckTopic(topic); err != nil {
			t.Errorf("%q: %v", topic, err)
		}
	}
	for topic, want := range map[string]string{
		"": "empty", ".": "empty token", ".a": "empty token", "a.": "empty token", "a..b": "empty token",
		"a b": "white space", "a\t": "white space", "a\x7f": "control", "é": "non-ASCII", "\xff": "non-ASCII",
		"*": "wildcard", "a.>": "wildcard", "a*b": "wildcard", strings.Repeat("a", 256): "256 bytes",
	} {
		if err := CheckTopic(topic); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", topic, err, want)
		}
	}
}

// FuzzCheckTopic holds the one pass to the rules that it stands for, and both to
// what the subject of an accepted topic must be.
func FuzzCheckTopic(f *testing.F) {
	for _, seed := range []string{"", "a", "a.b", ".a", "a.", "a..b", "a b", "*", ">", "é", "\xff", "a\x7f", strings.Repeat("a", 256)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		bad := topic == "" || len(topic) > MaxTopicLength || strings.ContainsAny(topic, "*>") ||
			strings.IndexFunc(topic, notPrintable) >= 0 || strings.Contains("."+topic+".", "..")
		if err := CheckTopic(topic); (err != nil) != bad {
			t.Fatalf("%q: %v", topic, err)
		}
		if bad {
			return
		}
		for _, token := range strings.Split(Subject("outbox", topic, "k", 7), ".") {
			if token == "" || strings.ContainsAny(token, " \t\r\n*>") {
				t.Fatalf("%q has the token %q", topic, token)
			}
		}
	})
}

func TestCheckToken(t *testing.T) {
	for _, s := range []string{"shop", "Shop-1_x", strings.Repeat("a", 64)} {
		if err := CheckToken(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "a.b", "a b", "a/b", "*", "é", "$", strings.Repeat("a", 65)} {
		if err := CheckToken(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, s := range []string{"outbox", "a.b", "binjets", "_INBOXES"} {
		if err := CheckPrefix(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "$JS.API", "$SYS", "_INBOX", "_INBOX.a", "binjet", "binjet.checkpoint", "a.*", "a."} {
		if err := CheckPrefix(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

// The vectors are part of the wire contract: a change of them splits the keys of
// streams that exist.
func TestPartition(t *testing.T) {
	for _, c := range []struct {
		key  string
		n    int
		want int
	}{
		// FNV-1a of "" is 0x811c9dc5, of "a" 0xe40c292c, of "foobar" 0xbf9cf968.
		{"", 8, 5}, {"", 1, 0}, {"a", 16, 12}, {"foobar", 256, 0x68},
		{"a", 1000, 0xe40c292c % 1000}, {"foobar", 7, 0xbf9cf968 % 7},
	} {
		if got := Partition(c.key, c.n); got != c.want {
			t.Errorf("Partition(%q, %d) = %d, want %d", c.key, c.n, got, c.want)
		}
	}
}

func TestSubject(t *testing.T) {
	if got := Subject("outbox", "a.b", "k", 0); got != "outbox.a.b" {
		t.Errorf("got %s", got)
	}
	if got := Subject("my.events", "a.b", "a", 16); got != "my.events.12.a.b" {
		t.Errorf("got %s", got)
	}
	if got := CheckpointSubject("shop"); got != "binjet.checkpoint.shop" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkCheckTopic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if CheckTopic("orders.created.v1") != nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkSubject(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if Subject("outbox", "orders.created", "order-4711", 16) == "" {
			b.Fatal("empty")
		}
	}
}
