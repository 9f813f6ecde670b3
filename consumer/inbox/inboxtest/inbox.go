package inboxtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
)

// InboxStore is an [inbox.Inbox] to be tested.
type InboxStore struct {
	// New returns the store as one process has it, and what cuts that process off
	// as if it had died. Each call is another process over the same data, which is
	// empty at first.
	New func(t *testing.T) (in inbox.Inbox, die func())
	// Alone says that each process has data of its own, as in memory.
	Alone bool
	// Restart stops what holds the data and starts it again; nil when nothing does.
	Restart func(t *testing.T)
}

// RunInbox tests a store; newStore is called once for each test.
func RunInbox(t *testing.T, newStore func(t *testing.T) InboxStore) {
	tests := map[string]func(*inboxTest){
		"a claim is busy, then done":         (*inboxTest).busyThenDone,
		"a released claim is free":           (*inboxTest).released,
		"a claim is of a consumer and an ID": (*inboxTest).keys,
		"IDs are told apart":                 (*inboxTest).ids,
		"bad IDs are refused":                (*inboxTest).badIDs,
		"one of many copies runs":            (*inboxTest).oneOfMany,
		"a cancelled claim is none":          (*inboxTest).cancelled,
	}
	s := newStore(t)
	if !s.Alone {
		tests["processes share their claims"] = (*inboxTest).shared
		tests["a claim outlives its process for a while"] = (*inboxTest).died
		tests["one of many processes runs"] = (*inboxTest).oneOfManyProcesses
	}
	if s.Restart != nil {
		tests["marks and claims survive a restart"] = (*inboxTest).restarted
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			it := &inboxTest{T: t, InboxStore: newStore(t), ctx: ctx}
			it.in, it.die = it.New(t)
			test(it)
		})
	}
}

type inboxTest struct {
	*testing.T
	InboxStore
	ctx context.Context
	in  inbox.Inbox
	die func()
}

func (t *inboxTest) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *inboxTest) claim(in inbox.Inbox, consumer, id string) inbox.Claim {
	t.Helper()
	c, err := in.Claim(t.ctx, consumer, id)
	if err != nil {
		t.Fatalf("claim %s of %s: %v", id, consumer, err)
	}
	return c
}

func (t *inboxTest) want(in inbox.Inbox, id string, want error) {
	t.Helper()
	c, err := in.Claim(t.ctx, "c", id)
	if !errors.Is(err, want) {
		t.Errorf("claim %s: %v, want %v", id, err, want)
	}
	if c != nil {
		t.must(c.Release(t.ctx))
	}
}

func (t *inboxTest) busyThenDone() {
	c := t.claim(t.in, "c", "1")
	t.want(t.in, "1", inbox.ErrBusy)
	t.want(t.in, "1", inbox.ErrBusy)
	t.must(c.Done(t.ctx))
	t.want(t.in, "1", inbox.ErrDone)
	t.want(t.in, "1", inbox.ErrDone)
}

func (t *inboxTest) released() {
	for range 3 {
		c := t.claim(t.in, "c", "1")
		t.want(t.in, "1", inbox.ErrBusy)
		t.must(c.Release(t.ctx))
	}
	t.must(t.claim(t.in, "c", "1").Done(t.ctx))
	t.want(t.in, "1", inbox.ErrDone)
}

func (t *inboxTest) keys() {
	t.must(t.claim(t.in, "c", "1").Done(t.ctx))
	other := t.claim(t.in, "other", "1")
	upper := t.claim(t.in, "C", "1")
	t.claim(t.in, "c", "2")
	t.must(other.Done(t.ctx))
	t.must(upper.Release(t.ctx))
	t.want(t.in, "1", inbox.ErrDone)
	t.want(t.in, "2", inbox.ErrBusy)
}

func (t *inboxTest) ids() {
	var claims []inbox.Claim
	for _, id := range alike() {
		claims = append(claims, t.claim(t.in, "c", id))
	}
	for i, c := range claims {
		if i%2 == 0 {
			t.must(c.Done(t.ctx))
		} else {
			t.must(c.Release(t.ctx))
		}
	}
	for i, id := range alike() {
		if i%2 == 0 {
			t.want(t.in, id, inbox.ErrDone)
		} else {
			t.must(t.claim(t.in, "c", id).Done(t.ctx))
		}
	}
}

func (t *inboxTest) badIDs() {
	bad := func(consumer, id string) {
		t.Helper()
		if _, err := t.in.Claim(t.ctx, consumer, id); err == nil || errors.Is(err, inbox.ErrDone) || errors.Is(err, inbox.ErrBusy) {
			t.Errorf("consumer %q, ID %q: %v", consumer, id, err)
		}
	}
	for _, id := range badIDs() {
		bad("c", id)
	}
	for _, consumer := range []string{"", "a b", "a.b", "*", "é", strings.Repeat("x", 65)} {
		bad(consumer, "1")
	}
}

func (t *inboxTest) oneOfMany() {
	ins := make([]inbox.Inbox, 100)
	for i := range ins {
		ins[i] = t.in
	}
	t.race(ins)
}

func (t *inboxTest) oneOfManyProcesses() {
	ins := make([]inbox.Inbox, 0, 40)
	for range 8 {
		in, _ := t.New(t.T)
		ins = append(ins, in, in, in, in, in)
	}
	t.race(ins)
}

// race lets copies race, some rounds, in each of which but the last who wins gives up.
func (t *inboxTest) race(ins []inbox.Inbox) {
	const rounds = 4
	for round := range rounds {
		won := make(chan inbox.Claim, len(ins))
		ended := make(chan error, len(ins))
		for _, in := range ins {
			go func() {
				c, err := in.Claim(t.ctx, "c", "1")
				if err == nil {
					won <- c
				}
				ended <- err
			}()
		}
		for range ins {
			if err := <-ended; err != nil && !errors.Is(err, inbox.ErrBusy) {
				t.Errorf("a copy ended with %v", err)
			}
		}
		if len(won) != 1 {
			t.Fatalf("round %d: %d claims were granted to %d copies", round, len(won), len(ins))
		}
		if c := <-won; round < rounds-1 {
			t.must(c.Release(t.ctx))
		} else {
			t.must(c.Done(t.ctx))
		}
	}
	t.want(ins[0], "1", inbox.ErrDone)
}

// cancelled: whether the claim was granted or not, the message is not lost.
func (t *inboxTest) cancelled() {
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	c, err := t.in.Claim(ctx, "c", "1")
	switch {
	case err == nil:
		t.must(c.Release(t.ctx))
	case errors.Is(err, inbox.ErrDone), errors.Is(err, inbox.ErrBusy):
		t.Errorf("a cancelled claim: %v", err)
	}
	t.must(t.claim(t.in, "c", "1").Done(t.ctx))
}

func (t *inboxTest) shared() {
	other, _ := t.New(t.T)
	c := t.claim(t.in, "c", "1")
	t.want(other, "1", inbox.ErrBusy)
	t.must(c.Release(t.ctx))
	c = t.claim(other, "c", "1")
	t.want(t.in, "1", inbox.ErrBusy)
	t.must(c.Done(t.ctx))
	t.want(t.in, "1", inbox.ErrDone)
	t.want(other, "1", inbox.ErrDone)
}

// died: a process dies with a claim. Another one is refused, until it is granted
// the claim; then nobody else is.
func (t *inboxTest) died() {
	t.claim(t.in, "c", "1")
	t.die()
	other, _ := t.New(t.T)
	t.want(other, "1", inbox.ErrBusy)
	c := t.untilGranted(other, "1")
	third, _ := t.New(t.T)
	t.want(third, "1", inbox.ErrBusy)
	t.must(c.Done(t.ctx))
	t.want(third, "1", inbox.ErrDone)
}

func (t *inboxTest) untilGranted(in inbox.Inbox, id string) inbox.Claim {
	t.Helper()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		c, err := in.Claim(t.ctx, "c", id)
		if err == nil {
			tick.Stop()
			return c
		}
		if !errors.Is(err, inbox.ErrBusy) {
			t.Fatalf("claim %s: %v", id, err)
		}
	}
}

func (t *inboxTest) restarted() {
	t.must(t.claim(t.in, "c", "done").Done(t.ctx))
	t.must(t.claim(t.in, "c", "free").Release(t.ctx))
	held := t.claim(t.in, "c", "held")
	t.Restart(t.T)
	next, _ := t.New(t.T)
	t.want(next, "done", inbox.ErrDone)
	t.want(next, "held", inbox.ErrBusy)
	t.must(t.claim(next, "c", "free").Done(t.ctx))
	t.must(held.Done(t.ctx))
	t.want(next, "held", inbox.ErrDone)
}
