package model

// protocol is what a relay does. The zero value is the one of package relay; each
// field takes one rule out of it.
type protocol struct {
	noExpectation    bool // commits without the compare-and-set
	recordThenEvents bool // and before them
	resendUnfenced   bool // a batch that is absent is sent again as it is
	refusalIsFinal   bool // a refused batch was not stored: go on from what the stream holds
	scanBeforeFence  bool // look for strays before the compare-and-set of a take-over
	noScan           bool // or not at all
	trustTheSequence bool // an expectation is kept over a reconnect
	resumeOneTooLate bool // the position is one event ahead
	pipelined        bool // events by themselves, each expecting the stream's end where the last one was put
	lone             bool // an event by itself, sent again when a read does not show it
	neverAlone       bool // no event by itself, as on a cluster
	anyTail          bool // an event by itself, and the checkpoint behind it, wherever the stream ends
}

const maxBatch = 2

// settle is package relay's rule of the same name.
func settle(w write, held checkpoint, seq uint8) string {
	switch {
	case held.is(w.record):
		return "committed"
	case seq == w.expect && held.is(w.prev):
		return "resend"
	case seq > w.expect, held.epoch > w.record.epoch:
		return "deposed"
	case held.epoch == w.record.epoch && held.author != w.record.author:
		return "deposed"
	}
	return "older"
}

// nonce makes the next record of a relay.
func (r *relay) nonce(author uint8, c checkpoint) checkpoint {
	r.serial++
	c.author, c.serial = author, r.serial
	return c
}

// send puts a write under way; false when there is no room, or nothing may be sent
// on this connection before the checkpoint was read on it.
func (w *world) send(i int, wr write, during phase) bool {
	r := &w.relays[i]
	for s := range w.sent {
		if w.sent[s].author != 0 {
			continue
		}
		w.sent[s] = request{author: uint8(i + 1), write: wr}
		r.flight, r.answer, r.phase = wr, answer{}, during
		return true
	}
	return false
}

// takeOver reads the checkpoint, in the first n messages, and writes it anew.
func (p protocol) takeOver(w *world, i int, n uint8) bool {
	r := &w.relays[i]
	held, seq := w.last(n)
	r.epoch = max(r.epoch, held.epoch) + 1
	r.reconnected = false
	from := held.trueAt(seq)
	if p.scanBeforeFence {
		held.pos += uint8(len(w.strays(from, n+1)))
		from = n
	}
	record := r.nonce(uint8(i+1), checkpoint{epoch: r.epoch, pos: held.pos, from: from})
	r.after = scanning
	return w.send(i, write{first: held.pos, last: held.pos, record: record, expect: seq, prev: held}, taking)
}

// scan looks through what lies behind the position up to the own take-over.
func (p protocol) scan(w *world, i int) bool {
	r := &w.relays[i]
	if w.length < r.heldSeq {
		return p.stayAlive(w, i, scanning)
	}
	r.pos = r.held.pos
	if !p.noScan && !p.scanBeforeFence {
		for _, event := range w.strays(r.held.trueAt(r.heldSeq), r.heldSeq) {
			if r.pos++; event != r.pos {
				r.phase = halted
				return true
			}
		}
	}
	if p.resumeOneTooLate {
		r.pos++
	}
	r.phase = leading
	return true
}

// stayAlive is for a scan that does not find its end: a stale answer, or a lost tail,
// which the next heartbeat tells. It writes the checkpoint that is held once more.
func (p protocol) stayAlive(w *world, i int, during phase) bool {
	r := &w.relays[i]
	if p.verifiesFirst(r) {
		return true
	}
	record := r.nonce(uint8(i+1), checkpoint{epoch: r.held.epoch, pos: r.held.pos, from: r.held.trueAt(r.heldSeq)})
	r.after = during
	return w.send(i, write{first: r.held.pos, last: r.held.pos, record: record, expect: r.heldSeq, prev: r.held}, fencing)
}

// commit sends the next n events; none is a heartbeat.
func (p protocol) commit(w *world, i int, n uint8) bool {
	r := &w.relays[i]
	if p.verifiesFirst(r) {
		return true
	}
	if n > 0 && (p.pipelined || p.lone) {
		return p.commitBare(w, i, n)
	}
	if n > 0 && r.alone > 0 { // the checkpoint follows first
		return false
	}
	record := r.nonce(uint8(i+1), checkpoint{epoch: r.held.epoch, pos: r.pos + n})
	r.after = leading
	wr := write{first: r.pos, last: r.pos + n, record: record, expect: r.heldSeq, prev: r.held, end: r.tail}
	if p.anyTail {
		wr.end = 0
	}
	return w.send(i, wr, committing)
}

// receive acts on an answer.
func (p protocol) receive(w *world, i int) {
	r := &w.relays[i]
	a := r.answer
	r.answer = answer{}
	if a.kind == ok {
		p.stored(w, i, a.seq)
		return
	}
	if p.refusalIsFinal && r.phase == committing {
		r.held, r.heldSeq = w.last(w.length)
		r.phase = leading
		return
	}
	r.phase = settling
}

// stored: the stream holds the write.
func (p protocol) stored(w *world, i int, seq uint8) {
	r := &w.relays[i]
	switch {
	case r.flight.lone:
		r.alone, r.tail = r.alone+1, seq
	case r.flight.bare:
	default:
		r.held, r.heldSeq = r.flight.record, seq
		if r.after == leading {
			r.alone, r.tail = 0, 0
		}
	}
	switch r.after {
	case leading:
		r.pos = r.flight.last
		r.phase = leading
	default:
		r.phase = r.after
	}
}

// settled acts on what a read of the first n messages says about the write.
func (p protocol) settled(w *world, i int, n uint8) bool {
	r := &w.relays[i]
	if r.flight.bare {
		return p.settledBare(w, i)
	}
	held, seq := w.last(n)
	r.epoch = max(r.epoch, held.epoch)
	r.reconnected = false
	verdict := settle(r.flight, held, seq)
	switch {
	case verdict == "committed":
		p.stored(w, i, seq)
	case verdict == "resend" && (r.flight.events() == 0 && (r.after != leading || r.alone == 0) || p.resendUnfenced):
		return w.send(i, r.flight, r.phaseOf())
	case verdict == "resend":
		r.batch = r.flight
		return p.stayAlive(w, i, fenced) // now no copy of the batch can be stored any longer
	default:
		r.stepDown()
	}
	return true
}

// phaseOf the write that is in flight, when it is sent again.
func (r *relay) phaseOf() phase {
	switch {
	case r.after == leading:
		return committing
	case r.after == scanning && r.held == (checkpoint{}):
		return taking
	}
	return fencing
}

// again sends the batch behind its fence, unless a part of it was stored.
func (p protocol) again(w *world, i int) bool {
	r := &w.relays[i]
	if w.length < r.heldSeq {
		return p.stayAlive(w, i, fenced)
	}
	if p.looksBehind(w, i) || p.verifiesFirst(r) {
		return true
	}
	r.tail = 0 // the fence lies behind them, and is not there without them
	wr := r.batch
	wr.bare, wr.lone, wr.end = false, false, 0
	wr.record = r.nonce(uint8(i+1), checkpoint{epoch: r.held.epoch, pos: wr.last})
	wr.expect, wr.prev = r.heldSeq, r.held
	r.batch, r.after = write{}, leading
	return w.send(i, wr, committing)
}

// verifiesFirst: what a broker counted before it was connected to anew may be counted
// a second time, for others.
func (p protocol) verifiesFirst(r *relay) bool {
	if !r.reconnected || p.trustTheSequence {
		return false
	}
	r.back, r.phase = r.phase, verifying
	return true
}

// verify reads the checkpoint, in the first n messages, on a new connection.
func (p protocol) verify(w *world, i int, n uint8) {
	r := &w.relays[i]
	held, _ := w.last(n)
	r.epoch = max(r.epoch, held.epoch)
	if !held.is(r.held) {
		r.stepDown()
		return
	}
	r.reconnected, r.phase = false, r.back
	if r.back == leading && r.alone > 0 { // are they still there?
		r.batch = write{first: r.pos, last: r.pos}
		p.stayAlive(w, i, fenced)
	}
}

// stepDown: what it knew of the stream no longer counts.
func (r *relay) stepDown() { *r = relay{serial: r.serial, epoch: r.epoch} }
