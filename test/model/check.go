package model

import (
	"errors"
	"fmt"
)

// check goes through every state that the protocol can reach within some faults.
func (p protocol) check(f faults) (states int, err error) {
	return system[world]{first: start(f), steps: p.steps, broken: (*world).broken, done: (*world).done, show: (*world).String}.search()
}

// done: everything is published, and the position says so.
func (w *world) done() bool {
	c, _ := w.last(w.length)
	return c.pos == w.faults.source && w.published() == w.faults.source
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
