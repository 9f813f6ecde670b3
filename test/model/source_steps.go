package model

import "fmt"

// rules are what a reader keeps. The zero value is package binlog's; each field takes one
// out.
type rules struct {
	undecidedForgotten bool // the position does not name what is prepared
	readIsDone         bool // the position holds all that was read, published or not
	gapPassed          bool // what was purged is given up: on with what there is
	divergencePassed   bool // what the server never had does not matter
	lastNotCompared    bool // nor what it had under another name
	opaquePassed       bool // what can't be read is left out
	prepareIsCommit    bool // the rows of XA PREPARE are published at once
	rollbackPassed     bool // and those that were rolled back
}

func (r rules) check(t troubles) (states int, err error) {
	if t.groups == 0 {
		t.groups = 4
	}
	first := source{troubles: t}
	return system[source]{first: first, steps: r.steps, broken: (*source).broken, done: (*source).finished, show: (*source).String}.search()
}

// steps lists everything that can happen next.
func (r rules) steps(w source) (list []step[source]) {
	try := func(name string, do func(*source) bool) {
		next := w
		if do(&next) {
			list = append(list, step[source]{name, next})
		}
	}
	w.serverSteps(try)
	switch w.reader.phase {
	case down, cutOff:
		try("connects", r.connect)
	case reading:
		try("reads a group", r.next)
	case haltedReader:
		try("is started again", func(w *source) bool { w.reader = reader{}; return true })
	}
	for n := uint8(1); n <= w.reader.queued; n++ {
		try(fmt.Sprintf("publishes %d groups", n), func(w *source) bool { r.publish(w, n); return true })
	}
	if w.crashes > 0 && w.reader.phase != down {
		try("crashes", func(w *source) bool { w.crashes--; w.reader = reader{}; return true })
	}
	if w.drops > 0 && w.reader.phase == reading {
		try("loses its connection", func(w *source) bool { w.drops--; w.reader.phase = cutOff; return true })
	}
	return list
}

func (w source) serverSteps(try func(string, func(*source) bool)) {
	kinds := []kind{insert, foreign, rolledBack, prepare}
	if w.server.undecided(^uint16(0)).id != 0 {
		kinds = []kind{insert, foreign, rolledBack, xaCommit, xaRollback}
	}
	for _, k := range kinds {
		try(k.String(), func(w *source) bool { return w.write(k) })
	}
	if w.opaque > 0 {
		try(opaque.String(), func(w *source) bool { w.opaque--; return w.write(opaque) })
	}
	for n := w.server.purged + 1; n <= w.server.n && w.purges > 0; n++ {
		try(fmt.Sprintf("%d groups are purged", n), func(w *source) bool { w.purges--; w.server.purged = n; return true })
	}
	if w.tailLosses > 0 {
		try("the server comes back without its last group", func(w *source) bool { w.tailLosses--; return w.loseLast() })
	}
	if w.failOvers > 0 {
		try("fails over", func(w *source) bool { w.failOvers--; w.failOver(); return true })
		try("fails over, without the last group", func(w *source) bool { w.failOvers--; w.failOver(); return w.loseLast() })
	}
}

// write appends a group under the server's next GTID, which it counts from what it has.
func (w *source) write(k kind) bool {
	if w.made == w.groups {
		return false
	}
	gtid := uint16(1)
	if w.successor {
		gtid <<= 8
	}
	for _, g := range w.server.all() {
		if g.gtid >= gtid && (w.successor || g.gtid < 1<<8) {
			gtid = g.gtid << 1
		}
	}
	w.made++
	w.server.groups[w.server.n] = group{kind: k, id: w.made, gtid: gtid}
	w.server.n++
	return true
}

// loseLast cuts the connection, as the end of a server does.
func (w *source) loseLast() bool {
	if w.server.n == w.server.purged || w.lost.n > 0 {
		return false
	}
	w.lost = w.server
	w.server.n--
	w.server.groups[w.server.n] = group{}
	w.cut()
	return true
}

func (w *source) failOver() { w.successor = true; w.cut() }

func (w *source) cut() {
	if w.reader.phase == reading {
		w.reader.phase = cutOff
	}
}

// halt is possible once all that was read is stored. The stream stays as it is.
func (w *source) halt() bool {
	if w.reader.queued > 0 {
		return false
	}
	w.needless = !w.amiss(w.reader.pos)
	w.reader = reader{phase: haltedReader}
	return true
}

// connect asks for what the position does not hold, behind a look at whether the server
// can tell.
func (r rules) connect(w *source) bool {
	if w.reader.phase == down {
		w.reader = reader{pos: w.checkpoint}
	}
	b, p := &w.server, &w.reader.pos
	if p.resume&^gtidsOf(b.all()) != 0 && !r.divergencePassed {
		return w.halt()
	}
	for _, g := range b.groups[b.purged:b.n] {
		if g.gtid == p.last.gtid && g.id != p.last.id && !r.lastNotCompared {
			return w.halt()
		}
	}
	w.reader.phase, w.reader.at = reading, 0
	return true
}

// next reads the next group that the position does not hold.
func (r rules) next(w *source) bool {
	b, rd := &w.server, &w.reader
	for rd.at < b.n && b.groups[rd.at].gtid&rd.pos.resume != 0 {
		rd.at++
	}
	switch {
	case rd.at == b.n || int(rd.queued) == len(rd.queue):
		return false
	case rd.at >= b.purged:
	case r.gapPassed:
		rd.pos.resume |= gtidsOf(b.groups[:b.purged])
		return true
	default:
		return w.halt()
	}
	g := b.groups[rd.at]
	event, ok := r.eventOf(w, g)
	if !ok {
		return w.halt()
	}
	rd.at++
	w.read |= g.gtid
	rd.pos.resume |= g.gtid
	rd.pos.last = g
	if r.undecidedForgotten {
		rd.pos.xa = 0
	}
	rd.queue[rd.queued] = pending{event: event, after: rd.pos}
	rd.queued++
	return true
}

// eventOf is what a group commits; not ok if that can't be known.
func (r rules) eventOf(w *source, g group) (event uint8, ok bool) {
	rd := &w.reader
	switch g.kind {
	case insert:
		return g.id, true
	case opaque:
		return 0, r.opaquePassed
	case rolledBack:
		if r.rollbackPassed {
			return g.id, true
		}
	case prepare:
		rd.pos.xa, rd.parked = g.id, g.id
		if r.prepareIsCommit {
			return g.id, true
		}
	case xaRollback:
		rd.pos.xa, rd.parked = 0, 0
	case xaCommit:
		event, ok = rd.parked, rd.parked != 0
		for _, p := range w.server.groups[w.server.purged:w.server.n] { // read it once more
			if p.kind == prepare && !ok && p.id == rd.pos.xa {
				event, ok = p.id, true
			}
		}
		if r.undecidedForgotten {
			ok = true // it knows of none, so there is nothing to publish
		}
		if ok {
			rd.pos.xa, rd.parked = 0, 0
		}
		return event, ok
	}
	return 0, true
}

// publish stores the events of the first n groups of the queue and the position behind
// them at once.
func (r rules) publish(w *source, n uint8) {
	rd := &w.reader
	for _, p := range rd.queue[:n] {
		if p.event != 0 {
			w.stream[w.length] = p.event
			w.length++
		}
	}
	w.checkpoint = rd.queue[n-1].after
	if r.readIsDone {
		w.checkpoint = rd.pos
	}
	rest := rd.queued - n
	for i := range rd.queue {
		if i < int(rest) {
			rd.queue[i] = rd.queue[i+int(n)]
		} else {
			rd.queue[i] = pending{}
		}
	}
	rd.queued = rest
}
