package model

// What some publish instead of batches: events without the checkpoint. It is here to
// be seen to fail.

// commitBare sends the next events by themselves.
func (p protocol) commitBare(w *world, i int, n uint8) bool {
	r := &w.relays[i]
	if p.lone {
		n = 1
	}
	r.after = leading
	for k := range n {
		wr := write{first: r.pos + k, last: r.pos + k + 1, record: r.nonce(uint8(i+1), checkpoint{}), expect: r.heldSeq, bare: true}
		if p.pipelined {
			wr.end = w.length + k
		}
		if !w.send(i, wr, committing) {
			return false
		}
	}
	return true
}

// settledBare looks for the event, and sends it again where it is not.
func (p protocol) settledBare(w *world, i int) bool {
	r := &w.relays[i]
	for _, m := range w.stream[:w.length] {
		if m.event == r.flight.last {
			p.stored(w, i, 0)
			return true
		}
	}
	return w.send(i, r.flight, committing)
}
