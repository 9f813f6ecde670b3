package model

// An event by itself, behind the checkpoint: what package relay does on one server.

// publishAlone sends the next event by itself. It expects the checkpoint that is held
// and that what was written before it, by itself too or that checkpoint, is the stream's
// last message.
func (p protocol) publishAlone(w *world, i int) bool {
	r := &w.relays[i]
	if p.verifiesFirst(r) {
		return true
	}
	wr := write{first: r.pos, last: r.pos + 1, record: r.nonce(uint8(i+1), checkpoint{}), expect: r.heldSeq, bare: true, lone: true, end: max(r.tail, r.heldSeq)}
	if p.anyTail {
		wr.end = 0
	}
	r.after = leading
	return w.send(i, wr, committing)
}

// settlesAlone: nothing but the stream tells what became of the event, and only behind
// a fence.
func (p protocol) settlesAlone(w *world, i int) bool {
	r := &w.relays[i]
	r.batch = r.flight
	return p.stayAlive(w, i, fenced)
}

// looksBehind compares what lies between the position and the fence with what was
// published by itself. done says that the relay has nothing to send again.
func (p protocol) looksBehind(w *world, i int) (done bool) {
	r := &w.relays[i]
	list := w.strays(r.held.trueAt(r.heldSeq), r.heldSeq)
	found := r.batch.lone && len(list) == int(r.alone)+1
	if !found && len(list) != int(r.alone) {
		r.stepDown()
		return true
	}
	for n, event := range list {
		if event != r.held.pos+uint8(n)+1 {
			r.stepDown()
			return true
		}
	}
	if found {
		r.pos, r.alone, r.tail = r.batch.last, r.alone+1, 0
		r.batch, r.phase = write{}, leading
	}
	return found
}
