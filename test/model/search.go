package model

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// Violation is a broken invariant, with the shortest way to it.
type Violation struct {
	What string
	Way  []string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("%s, after\n  %s", v.What, strings.Join(v.Way, "\n  "))
}

// step is one thing that can happen, and the state after it.
type step[S any] struct {
	name string
	then S
}

// system is what is gone through: its first state, what can happen in each, and what
// has to be true in it.
type system[S comparable] struct {
	first  S
	steps  func(S) []step[S]
	broken func(*S) string // the invariant that a state breaks; "" for none
	done   func(*S) bool   // from each state such a one can be reached
	show   func(*S) string
}

// graph is what was reached: for each state its predecessors, by number.
type graph[S comparable] struct {
	ids  map[fingerprint]int32
	from [][]int32 // the first one is on the shortest way
	goal []int32
}

// fingerprint stands for a state, which is too large to keep millions of.
type fingerprint [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func fingerprintOf[S comparable](s S) fingerprint {
	return fingerprint{maphash.Comparable(seeds[0], s), maphash.Comparable(seeds[1], s)}
}

// search goes through every state that can be reached and returns their number and
// the first violation. A state from which none that is done can be reached is one.
func (y system[S]) search() (states int, err error) {
	g := &graph[S]{ids: map[fingerprint]int32{}}
	g.add(y.first, -1, y.done(&y.first))
	queue := []S{y.first}
	for id := int32(0); len(queue) > 0; id++ {
		now := queue[0]
		queue = queue[1:]
		for _, s := range y.steps(now) {
			id2, known := g.add(s.then, id, y.done(&s.then))
			if known {
				continue
			}
			if bad := y.broken(&s.then); bad != "" {
				return len(g.from), &Violation{What: bad + "\n  " + y.show(&s.then), Way: y.way(g, id2)}
			}
			queue = append(queue, s.then)
		}
	}
	if id, ok := g.stuck(); ok {
		return len(g.from), &Violation{What: "what is left can never be published", Way: y.way(g, id)}
	}
	return len(g.from), nil
}

func (g *graph[S]) add(s S, from int32, done bool) (id int32, known bool) {
	key := fingerprintOf(s)
	id, known = g.ids[key]
	if !known {
		id = int32(len(g.from))
		g.ids[key] = id
		g.from = append(g.from, nil)
		if done {
			g.goal = append(g.goal, id)
		}
	}
	if from >= 0 && from != id {
		g.from[id] = append(g.from[id], from)
	}
	return id, known
}

// stuck finds a state from which no goal can be reached.
func (g *graph[S]) stuck() (int32, bool) {
	reaches := make([]bool, len(g.from))
	todo := append([]int32(nil), g.goal...)
	for _, id := range todo {
		reaches[id] = true
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, before := range g.from[id] {
			if !reaches[before] {
				reaches[before] = true
				todo = append(todo, before)
			}
		}
	}
	for id, ok := range reaches {
		if !ok {
			return int32(id), true
		}
	}
	return 0, false
}

// way goes the shortest way to a state again, and names its steps.
func (y system[S]) way(g *graph[S], to int32) (names []string) {
	var ids []int32
	for id := to; id != 0; id = g.from[id][0] {
		ids = append(ids, id)
	}
	now := y.first
	for i := len(ids) - 1; i >= 0; i-- {
		for _, s := range y.steps(now) {
			if g.ids[fingerprintOf(s.then)] == ids[i] {
				names, now = append(names, s.name), s.then
				break
			}
		}
	}
	return append(names, y.show(&now))
}
