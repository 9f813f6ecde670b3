package binlog

import (
	"errors"
	"testing"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// A server that comes nearer is waited for, however long it takes; one that does
// not is another history.
func TestLagEnds(t *testing.T) {
	var l lag
	now := time.Now()
	for _, step := range []struct {
		after    time.Duration
		distance uint64
		left     time.Duration
	}{
		{0, 10, 30}, {20, 10, 10}, {29, 9, 30}, {50, 5, 30}, {60, 6, 20}, {79, 5, 30}, {108, 5, 1}, {109, 5, 0},
	} {
		if got := l.left(step.distance, 30*time.Second, now.Add(step.after*time.Second)); got != step.left*time.Second {
			t.Errorf("after %d s at %d: %s left, want %d s", step.after, step.distance, got, step.left)
		}
	}
	l.end()
	if got := l.left(5, time.Second, now.Add(time.Hour)); got != time.Second {
		t.Errorf("a new wait has %s", got)
	}
}

// Nobody waits for what the server itself has lost.
func TestLagOwn(t *testing.T) {
	const a, b = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
	r, err := New(Config{Addr: "a:1", User: "u", Tables: []string{"s.t"}})
	if err != nil {
		t.Fatal(err)
	}
	my := &Server{Flavor: checkpoint.MySQL, UUID: a, Executed: set(t, a+":1-10,"+b+":1-3")}
	maria := &Server{Flavor: checkpoint.MariaDB, variables: map[string]string{"server_id": "2"}}
	if err := (*states)(&maria.states).UnmarshalText([]byte("0-1-10,0-2-12")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		srv     *Server
		at      string
		waits   bool
		missing uint64
	}{
		{my, a + ":1-9," + b + ":1-9", true, 6}, {my, a + ":1-11", false, 0}, {my, a + ":1-11," + b + ":1-9", false, 0},
		{maria, "0-1-14", true, 4}, {maria, "0-2-13", false, 0}, {maria, "5-1-3", true, 3},
	} {
		err := r.reached(tt.srv, checkpoint.Position{Resume: set(t, tt.at)})
		var l *LagError
		if errors.As(err, &l) != tt.waits || tt.waits && l.Transactions != tt.missing || !tt.waits && !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", tt.at, err)
		}
	}
}
