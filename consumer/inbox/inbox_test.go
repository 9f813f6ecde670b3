package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/binjet/binjet/consumer/inbox"
)

func claim(t *testing.T, in inbox.Inbox, consumer, id string) inbox.Claim {
	t.Helper()
	c, err := in.Claim(t.Context(), consumer, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMemoryForgetsTheLeastRecentlySeen(t *testing.T) {
	in := inbox.NewMemory(2)
	running := claim(t, in, "c", "running")
	for _, id := range []string{"1", "2"} {
		if err := claim(t, in, "c", id).Done(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Claim(t.Context(), "c", "1"); !errors.Is(err, inbox.ErrDone) { // seen again: 2 is older now
		t.Fatal(err)
	}
	if err := claim(t, in, "c", "3").Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Claim(t.Context(), "c", "1"); !errors.Is(err, inbox.ErrDone) {
		t.Fatalf("1 was forgotten: %v", err)
	}
	claim(t, in, "c", "2") // was forgotten
	if _, err := in.Claim(t.Context(), "c", "running"); !errors.Is(err, inbox.ErrBusy) {
		t.Fatalf("a running claim was forgotten: %v", err)
	}
	if err := running.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSQLConfig(t *testing.T) {
	if _, err := inbox.NewSQL(inbox.SQLConfig{Table: "a`b"}); err == nil {
		t.Error("a table name with a backquote is taken")
	}
	if _, err := inbox.NewSQL(inbox.SQLConfig{Dialect: 99}); err == nil {
		t.Error("an unknown dialect is taken")
	}
	s, err := inbox.NewSQL(inbox.SQLConfig{Table: "shop.seen"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Schema(), "CREATE TABLE IF NOT EXISTS `shop`.`seen` (") {
		t.Errorf("schema is %s", s.Schema())
	}
	for _, bad := range []struct{ consumer, id string }{{"a b", "1"}, {"c", ""}, {"c", strings.Repeat("x", 65)}, {"c", "é"}} {
		if err := s.Claim(t.Context(), nil, bad.consumer, bad.id); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func ExampleNewMemory() {
	in := inbox.NewMemory(1000)
	c, _ := in.Claim(context.Background(), "billing", "order-1")
	_ = c.Done(context.Background())
	_, err := in.Claim(context.Background(), "billing", "order-1")
	fmt.Println(err)
	// Output: message was handled before
}
