package consumer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestAssign: whoever joins, dies or gives up what, shares are balanced, nothing
// moves that need not, and once all have what they should, nothing moves.
func TestAssign(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		members := make([]string, 1+rng.IntN(9))
		for i := range members {
			members[i] = fmt.Sprint("m", i)
		}
		owners := make([]string, rng.IntN(40))
		for i := range owners {
			if rng.IntN(4) > 0 {
				owners[i] = fmt.Sprint("m", rng.IntN(len(members)+rng.IntN(3)))
			}
			if !slices.Contains(members, owners[i]) {
				owners[i] = "" // dead
			}
		}
		got := assign(members, owners)
		wantBalanced(t, members, got)
		if moved, least := moves(owners, got), leastMoves(members, owners); moved != least {
			t.Fatalf("%d moves from %v to %v, %d are enough", moved, owners, got, least)
		}
		if again := assign(members, got); !slices.Equal(again, got) {
			t.Fatalf("not at rest: %v, then %v", got, again)
		}
		shuffled := slices.Clone(members)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if other := assign(shuffled, owners); !slices.Equal(other, got) {
			t.Fatalf("members in another order decide otherwise: %v and %v", got, other)
		}
	}
	if got := assign(nil, []string{"a", "b"}); !slices.Equal(got, []string{"", ""}) {
		t.Fatalf("without members: %v", got)
	}
}

func wantBalanced(t *testing.T, members, got []string) {
	t.Helper()
	owned := map[string]int{}
	for _, owner := range got {
		owned[owner]++
	}
	for _, m := range members {
		if n, least := owned[m], len(got)/len(members); n != least && n != least+1 {
			t.Fatalf("%s has %d of %d shares among %d members: %v", m, n, len(got), len(members), got)
		}
		delete(owned, m)
	}
	if len(owned) > 0 {
		t.Fatalf("shares of nobody: %v", got)
	}
}

// moves counts the shares that one has to give up.
func moves(from, to []string) (n int) {
	for i := range from {
		if from[i] != "" && from[i] != to[i] {
			n++
		}
	}
	return n
}

// leastMoves tries all ways to give out the odd shares.
func leastMoves(members, owners []string) int {
	owned := map[string]int{}
	for _, o := range owners {
		owned[o]++
	}
	base, odd := len(owners)/len(members), len(owners)%len(members)
	excess, over := 0, 0 // those above base, and how many members have them
	for _, m := range members {
		if n := owned[m]; n > base {
			excess += n - base
			over++
		}
	}
	return excess - min(odd, over)
}

func TestRosterJudgesByItsOwnBeats(t *testing.T) {
	r := newRoster("me", time.Second)
	live := func(want ...string) {
		t.Helper()
		if got := r.live(); !slices.Equal(got, want) {
			t.Fatalf("live are %v, want %v", got, want)
		}
	}
	r.heard(beat{Instance: "me", Every: time.Second}) // its own does not make it a member twice
	r.heard(beat{Instance: "a", Every: time.Second, Shares: map[int]uint64{0: 1, 1: 5, 9: 1}})
	r.heard(beat{Instance: "slow", Every: 3 * time.Second, Shares: map[int]uint64{1: 4}})
	live("a", "me", "slow")
	owners, epochs := r.owners(2)
	if !slices.Equal(owners, []string{"a", "a"}) || !slices.Equal(epochs, []uint64{1, 5}) {
		t.Fatalf("owners are %v in epochs %v", owners, epochs)
	}
	n := uint64(0)
	tick := func(times int) {
		for range times {
			n++
			if !r.tick(n) {
				t.Fatal("a beat of its own is no news")
			}
			if r.tick(n) {
				t.Fatal("the same beat counts twice")
			}
		}
	}
	tick(4)
	live("a", "me", "slow")
	r.heard(beat{Instance: "a", Every: time.Second})
	tick(4)
	live("a", "me", "slow")
	tick(1)
	live("me", "slow")
	if r.alive("a") || !r.alive("me") || r.alive("never heard of") {
		t.Fatal("alive and live differ")
	}
	tick(2)
	live("me")
	if owners, _ := r.owners(2); owners[1] != "" {
		t.Fatalf("the dead own %v", owners)
	}
	r.heard(beat{Instance: "a", Every: time.Second}) // it was only paused
	live("a", "me")
	r.left("a")
	live("me")
	tick(1000)
	if len(r.members) > 0 {
		t.Fatal("the dead are never forgotten")
	}
}
