package consumer

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestProgress: whenever an owner dies, who goes on from the position that it
// wrote last sees every unfinished message, in order, and of the finished ones
// none that was finished when it was written.
func TestProgress(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	stored := func(seq uint64) time.Time { return time.Unix(int64(seq), 0) }
	for range 300 {
		last := uint64(50 + rng.IntN(100))
		has := func(seq uint64) bool { return seq%3 != 0 } // the others are of other shares
		done := map[uint64]bool{}
		failed := map[uint64]int{}
		pos := position{}
		for owner := 0; len(done) < int(last-last/3); owner++ {
			p := resume(pos)
			var held []*item
			for _, seq := range pos.open() {
				it := &item{seq: seq, published: stored(seq)}
				p.carried(it)
				held = append(held, it)
			}
			next := p.high + 1
			for range rng.IntN(60) {
				for next <= last && !has(next) {
					next++
				}
				if next <= last && (len(held) == 0 || rng.IntN(2) == 0) {
					it := &item{seq: next, published: stored(next)}
					if !p.received(it) {
						t.Fatalf("%d can't be received behind %d", next, p.high)
					}
					held = append(held, it)
					next++
					continue
				}
				if len(held) == 0 {
					break
				}
				i := rng.IntN(len(held))
				it := held[i]
				if it.tries != failed[it.seq] {
					t.Fatalf("message %d has %d tries, want %d", it.seq, it.tries, failed[it.seq])
				}
				if rng.IntN(3) == 0 {
					it.tries++
					failed[it.seq]++
					continue
				}
				p.finished(it)
				done[it.seq] = true
				delete(failed, it.seq)
				held = slices.Delete(held, i, i+1)
			}
			pos = throughJSON(t, p.position())
			wantPosition(t, pos, last, has, done)
			if !maps.Equal(pos.Tries, failed) && len(pos.Tries)+len(failed) > 0 {
				t.Fatalf("tries are %v, want %v", pos.Tries, failed)
			}
		}
	}
}

func throughJSON(t *testing.T, p position) (back position) {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func wantPosition(t *testing.T, pos position, last uint64, has func(uint64) bool, done map[uint64]bool) {
	t.Helper()
	open := pos.open()
	if !slices.IsSorted(open) {
		t.Fatalf("open messages are %v", open)
	}
	floor := uint64(0)
	for seq := uint64(1); seq <= last; seq++ {
		if !has(seq) {
			continue
		}
		comes := seq > pos.Cut || slices.Contains(open, seq)
		if comes == done[seq] {
			t.Fatalf("message %d: done %t, comes again %t, at %+v", seq, done[seq], comes, pos)
		}
		if floor == 0 && !done[seq] {
			floor = seq
		}
	}
	if floor > 0 && (pos.floor() > floor || len(open) > 0 && pos.floor() != floor) {
		t.Fatalf("the floor is %d, want %d", pos.floor(), floor)
	}
}

func TestPositionIsBounded(t *testing.T) {
	p := resume(position{})
	for seq := uint64(1); seq <= 2000; seq++ {
		it := &item{seq: seq}
		p.received(it)
		it.tries = 1
	}
	pos := p.position()
	if len(pos.Tries) != maxTries || pos.Tries[1] != 1 || pos.Tries[maxTries] != 1 {
		t.Fatalf("%d tries", len(pos.Tries))
	}
}

func TestRewound(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	p := position{Cut: 9, CutTime: at(90)}
	if got := p.rewound(10 * time.Second); !got.From.Equal(at(80)) || got.Cut != 0 {
		t.Fatalf("got %+v", got)
	}
	p.Open, p.OpenTime = []uint64{3}, at(30)
	if got := p.rewound(10 * time.Second); !got.From.Equal(at(20)) || got.Cut != 0 || got.Open != nil {
		t.Fatalf("got %+v", got)
	}
}

func TestReceivedRefusesANumberThatWas(t *testing.T) {
	p := resume(position{Cut: 5})
	if p.received(&item{seq: 5}) || !p.received(&item{seq: 6}) || p.received(&item{seq: 6}) {
		t.Fatal("a number comes twice")
	}
	stale := &item{seq: 6}
	p.finished(stale)
	if p.cut != 5 {
		t.Fatal("an item of before a rewinding moves the position")
	}
}

func TestTakenCountsDeathsAtOneMessage(t *testing.T) {
	r := shareRecord{}
	take := func(owner string, idle bool, pos position, crashes int) {
		t.Helper()
		before := r
		r = r.taken(owner, idle, pos)
		if r.Crashes != crashes || r.Epoch != before.Epoch+1 || r.Nonce == before.Nonce || r.Owner != owner || r.careful() != (crashes >= crashesBeforeCare) {
			t.Fatalf("%d deaths, want %d: %+v", r.Crashes, crashes, r)
		}
	}
	at := func(cut uint64, open ...uint64) position { return position{Cut: cut, Open: open} }
	take("a", false, at(0), 0)
	take("b", false, at(0), 1)
	take("c", false, at(0), 2)
	take("c", false, at(0), 2) // a new session of the same process
	take("a", true, at(0), 2)  // died with nothing to do
	take("b", false, at(0), 3)
	take("c", false, at(0), 4)
	take("a", false, at(7), 1)    // it came further
	take("b", false, at(9, 8), 2) // not: 8 is still the first
	take("c", false, at(20, 8), 3)
	r.Owner = "" // in good order
	take("a", false, at(20, 8), 0)
}

func TestReaderNamesAreNobodyElses(t *testing.T) {
	r := shareRecord{}.taken("a", false, position{})
	if got, want := r.readerName("billing", 3, 8), "billing~p3~e1~"+r.Nonce; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := r.readerName("billing", 0, 0), "billing~e1~"+r.Nonce; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
