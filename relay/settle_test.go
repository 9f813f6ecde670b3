package relay

import (
	"errors"
	"testing"
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

func TestSettle(t *testing.T) {
	a := attempt{nonce: "mine", epoch: 5, instance: "me", prevSeq: 100, prevNonce: "before"}
	first := attempt{nonce: "mine", epoch: 1, instance: "me"}
	held := func(seq, epoch uint64, instance, nonce string) store.Held {
		return store.Held{Seq: seq, Checkpoint: checkpoint.Checkpoint{Epoch: epoch, Instance: instance, Nonce: nonce}}
	}
	tests := []struct {
		name string
		a    attempt
		held store.Held
		err  error
		want verdict
	}{
		{"mine is there", a, held(110, 5, "me", "mine"), nil, committed},
		{"mine is there, at a lower sequence than believed", a, held(90, 5, "me", "mine"), nil, committed},
		{"the one before is still there", a, held(100, 5, "me", "before"), nil, resend},
		{"the one before, of another epoch, is still there (take-over)", a, held(100, 4, "old", "before"), nil, resend},
		{"nothing was there and nothing is", first, store.Held{}, store.ErrNotFound, resend},
		{"nothing was there, mine is", first, held(1, 1, "me", "mine"), nil, committed},
		{"nothing was there, another was first", first, held(1, 1, "other", "theirs"), nil, deposed},
		{"a newer epoch behind", a, held(120, 6, "other", "theirs"), nil, deposed},
		{"the old leader is alive (take-over)", a, held(120, 4, "old", "theirs"), nil, deposed},
		{"a newer epoch on a stream that lost its tail", a, held(60, 6, "other", "theirs"), nil, deposed},
		{"the same epoch of another on a stream that lost its tail", a, held(60, 5, "other", "theirs"), nil, deposed},
		{"the same sequence with another's write of a newer epoch", a, held(100, 6, "other", "theirs"), nil, deposed},
		{"the same sequence with an older write", a, held(100, 4, "old", "theirs"), nil, older},
		{"one of my earlier ones", a, held(80, 5, "me", "earlier"), nil, older},
		{"one of an earlier epoch", a, held(80, 3, "old", "earlier"), nil, older},
		{"none where there was one", a, store.Held{}, store.ErrNotFound, older},
		{"unreadable", a, store.Held{}, errors.New("no responders"), retry},
		{"unreadable at first", first, store.Held{}, errors.New("timeout"), retry},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := settle(tt.a, tt.held, tt.err); got != tt.want {
				t.Errorf("settle = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPickCopy(t *testing.T) {
	made, remade := time.Unix(1000, 0), time.Unix(2000, 0)
	c := func(seq uint64) store.Copy { return store.Copy{Seq: seq, Stream: "OUTBOX", Created: made} }
	tests := []struct {
		name   string
		copies []store.Copy
		state  store.State
		want   uint64 // 0: none
		halt   bool
	}{
		{"never used", nil, store.State{Created: made, LastSeq: 7}, 0, false},
		{"copies of another stream", []store.Copy{{Seq: 5, Stream: "OTHER", Created: made}}, store.State{Created: made}, 0, false},
		{"the newest is still within the stream", []store.Copy{c(5), c(9)}, store.State{Created: made, FirstSeq: 1, LastSeq: 12}, 9, false},
		{"the newest is ahead of a stream that lost its tail", []store.Copy{c(5), c(9)}, store.State{Created: made, FirstSeq: 1, LastSeq: 8}, 5, false},
		{"emptied, and nothing was behind the copy", []store.Copy{c(9)}, store.State{Created: made, FirstSeq: 10, LastSeq: 9}, 9, false},
		{"purged behind the copy", []store.Copy{c(9)}, store.State{Created: made, FirstSeq: 15, LastSeq: 14}, 0, true},
		{"a copy of a tail that was lost has a higher sequence", []store.Copy{c(9), {Seq: 7, Stream: "OUTBOX", Created: made, Checkpoint: checkpoint.Checkpoint{Epoch: 2}}}, store.State{Created: made, FirstSeq: 1, LastSeq: 12}, 7, false},
		{"all copies are ahead", []store.Copy{c(9)}, store.State{Created: made, FirstSeq: 1, LastSeq: 3}, 0, true},
		{"made anew", []store.Copy{c(9)}, store.State{Created: remade, FirstSeq: 1, LastSeq: 20}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pickCopy(tt.copies, "OUTBOX", tt.state)
			var halt *checkpoint.HaltError
			if errors.As(err, &halt) != tt.halt {
				t.Fatalf("err = %v, want a halt: %v", err, tt.halt)
			}
			if seq := seqOf(got); seq != tt.want {
				t.Errorf("picked the copy at %d, want %d", seq, tt.want)
			}
		})
	}
}

func seqOf(c *store.Copy) uint64 {
	if c == nil {
		return 0
	}
	return c.Seq
}
