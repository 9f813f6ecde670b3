package model

import (
	"errors"
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

// graph is what was reached: for each state its predecessors, by number.
type graph struct {
	ids  map[fingerprint]int32
	from [][]int32 // the first one is on the shortest way
	goal []int32
}

// fingerprint stands for a state, which is too large to keep millions of.
type fingerprint [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (w *world) fingerprint() fingerprint {
	return fingerprint{maphash.Comparable(seeds[0], *w), maphash.Comparable(seeds[1], *w)}
}

// check goes through every state that can be reached and returns their number and
// the first violation. A state from which the rest can't be published any more is one.
func (p protocol) check(f faults) (states int, err error) {
	first := start(f)
	g := &graph{ids: map[fingerprint]int32{}}
	g.add(&first, -1)
	queue := []world{first}
	for id := int32(0); len(queue) > 0; id++ {
		w := queue[0]
		queue = queue[1:]
		for _, s := range p.steps(w) {
			id2, known := g.add(&s.world, id)
			if known {
				continue
			}
			if bad := s.broken(); bad != "" {
				return len(g.from), &Violation{What: bad + "\n  " + s.String(), Way: p.way(first, g, id2)}
			}
			queue = append(queue, s.world)
		}
	}
	if id, ok := g.stuck(); ok {
		return len(g.from), &Violation{What: "what is left can never be published", Way: p.way(first, g, id)}
	}
	return len(g.from), nil
}

func (g *graph) add(w *world, from int32) (id int32, known bool) {
	key := w.fingerprint()
	id, known = g.ids[key]
	if !known {
		id = int32(len(g.from))
		g.ids[key] = id
		g.from = append(g.from, nil)
		if w.done() {
			g.goal = append(g.goal, id)
		}
	}
	if from >= 0 && from != id {
		g.from[id] = append(g.from[id], from)
	}
	return id, known
}

// stuck finds a state from which no goal can be reached.
func (g *graph) stuck() (int32, bool) {
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
func (p protocol) way(w world, g *graph, to int32) (names []string) {
	var ids []int32
	for id := to; id != 0; id = g.from[id][0] {
		ids = append(ids, id)
	}
	for i := len(ids) - 1; i >= 0; i-- {
		for _, s := range p.steps(w) {
			if g.ids[s.fingerprint()] == ids[i] {
				names, w = append(names, s.name), s.world
				break
			}
		}
	}
	return append(names, w.String())
}

// done: everything is published, and the position says so.
func (w *world) done() bool {
	c, _ := w.last(w.length)
	return c.pos == events && w.published() == events
}

func (w *world) published() (n uint8) {
	for _, m := range w.stream[:w.length] {
		n += min(m.event, 1)
	}
	return n
}

// broken names the invariant that a state breaks; "" for none. The numbers are those
// of docs/proof.md.
func (w *world) broken() string {
	err := errors.Join(w.prefix(), w.together(), w.epochs())
	for i, r := range w.relays {
		if r.phase == halted {
			err = errors.Join(err, fmt.Errorf("I8: relay %d halts, though the source has everything", i+1))
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// prefix is I1, and with it I7 and I11: the events are a prefix of the source's, in
// its order, each once.
func (w *world) prefix() error {
	next := uint8(1)
	for _, m := range w.stream[:w.length] {
		if m.event == 0 {
			continue
		}
		if m.event != next {
			return fmt.Errorf("I1: event %d where %d belongs", m.event, next)
		}
		next++
	}
	return nil
}

// together is I2: each checkpoint's position was true at the sequence that it names.
func (w *world) together() error {
	before := make([]uint8, w.length+1) // events up to a sequence
	for i, m := range w.stream[:w.length] {
		before[i+1] = before[i] + min(m.event, 1)
	}
	for i, m := range w.stream[:w.length] {
		seq := uint8(i + 1)
		if at := m.record.trueAt(seq); m.event == 0 && before[min(at, w.length)] != m.record.pos {
			return fmt.Errorf("I2: the checkpoint at %d says that %d events are there at %d, but %d are", seq, m.record.pos, at, before[min(at, w.length)])
		}
	}
	return nil
}

// epochs is I3, and with it I12.
func (w *world) epochs() error {
	epoch := uint8(0)
	for i, m := range w.stream[:w.length] {
		if m.event != 0 {
			continue
		}
		if m.record.epoch < epoch {
			return fmt.Errorf("I3: epoch %d at %d, behind epoch %d", m.record.epoch, i+1, epoch)
		}
		epoch = m.record.epoch
	}
	return nil
}
