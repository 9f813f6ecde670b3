package model

import "fmt"

// steps lists everything that can happen next.
func (p protocol) steps(w world) (list []step[world]) {
	try := func(name string, do func(*world) bool) {
		next := w
		if do(&next) {
			list = append(list, step[world]{name, next})
		}
	}
	for i := range relays {
		p.relaySteps(w, i, func(name string, do func(*world) bool) { try(fmt.Sprintf("relay %d: %s", i+1, name), do) })
	}
	for s, req := range w.sent {
		if req.author != 0 {
			p.brokerSteps(w, s, try)
		}
	}
	for n := uint8(1); n < w.length && w.faults.tailLosses > 0; n++ {
		try(fmt.Sprintf("the broker loses what is behind %d", n), func(w *world) bool { w.loseTail(n); return true })
	}
	for n := uint8(1); n < w.length && w.faults.unseen > 0; n++ {
		try(fmt.Sprintf("the broker loses what is behind %d, unseen", n), func(w *world) bool { w.loseUnseen(n); return true })
	}
	return list
}

func (p protocol) relaySteps(w world, i int, try func(string, func(*world) bool)) {
	r := w.relays[i]
	// read offers a step for what the leader holds, and for what a stale one says.
	read := func(name string, do func(w *world, n uint8) bool) {
		try(name, func(w *world) bool { return do(w, w.length) })
		for n := uint8(1); n < w.length && w.faults.stale > 0; n++ {
			try(fmt.Sprintf("%s, stale at %d", name, n), func(w *world) bool { w.faults.stale--; return do(w, n) })
		}
	}
	switch r.phase {
	case standby:
		idle := w.relays[1-i].phase == standby
		if !idle && w.faults.takeOvers == 0 {
			break
		}
		read("takes over", func(w *world, n uint8) bool {
			if !idle {
				w.faults.takeOvers--
			}
			return p.takeOver(w, i, n)
		})
	case scanning:
		try("scans", func(w *world) bool { return p.scan(w, i) })
	case leading:
		for n := uint8(1); n <= maxBatch && r.pos+n <= w.faults.source; n++ {
			try(fmt.Sprintf("commits %d", n), func(w *world) bool { return p.commit(w, i, n) })
		}
		if r.pos < w.faults.source && r.pos == r.held.pos+r.alone && !p.neverAlone {
			try("publishes 1 alone", func(w *world) bool { return p.publishAlone(w, i) })
		}
		switch {
		case r.pos > r.held.pos, r.reconnected, w.length < r.heldSeq: // those that something depends on
			try("beats", func(w *world) bool { return p.commit(w, i, 0) })
		case w.faults.beats > 0:
			try("beats", func(w *world) bool { w.faults.beats--; return p.commit(w, i, 0) })
		}
	case taking, committing, fencing:
		if r.answer.kind != none {
			try("reads the answer", func(w *world) bool { p.receive(w, i); return true })
		}
		early := w.mayAnswer(r)
		if !early || w.faults.timeouts > 0 {
			try("waits no longer", func(w *world) bool {
				if early {
					w.faults.timeouts--
				}
				w.relays[i].phase, w.relays[i].answer = settling, answer{}
				return true
			})
		}
	case settling:
		if r.flight.lone && !p.lone {
			try("fences", func(w *world) bool { return p.settlesAlone(w, i) })
			break
		}
		read("settles", func(w *world, n uint8) bool { return p.settled(w, i, n) })
	case fenced:
		try("looks behind the fence", func(w *world) bool { return p.again(w, i) })
	case verifying:
		read("verifies", func(w *world, n uint8) bool { p.verify(w, i, n); return true })
	}
	if w.faults.crashes > 0 && r.phase != standby && r.phase != halted {
		try("crashes", func(w *world) bool {
			w.faults.crashes--
			w.relays[i] = relay{serial: r.serial}
			return true
		})
	}
}

// brokerSteps: the broker takes the request in slot s.
func (p protocol) brokerSteps(w world, s int, try func(string, func(*world) bool)) {
	req := w.sent[s]
	name := fmt.Sprintf("the broker takes %d.%d", req.author, req.write.record.serial)
	deliver := func(w *world, stored, told uint8) bool {
		w.sent[s] = request{}
		a := p.apply(w, req.write, stored)
		if told != ok {
			a.kind = told
		}
		r := &w.relays[req.author-1]
		if a.kind != none && r.waitsFor(req.write) {
			r.answer = a
		}
		return true
	}
	n := req.write.events()
	try(name, func(w *world) bool { return deliver(w, n+1, ok) })
	_, seq := w.last(w.length)
	accepted := p.noExpectation || seq == req.write.expect
	if accepted && w.faults.lies > 0 {
		try(name+" and says that it refused", func(w *world) bool { w.faults.lies--; return deliver(w, n+1, refused) })
	}
	for k := uint8(1); k <= n && accepted && w.faults.torn > 0; k++ {
		try(fmt.Sprintf("%s and stores only %d", name, k), func(w *world) bool { w.faults.torn--; return deliver(w, k, none) })
	}
	if w.faults.twice > 0 {
		try(name+", of which a copy remains", func(w *world) bool {
			w.faults.twice--
			deliver(w, n+1, ok)
			w.sent[s] = req
			return true
		})
	}
}

func (r relay) waitsFor(wr write) bool {
	return (r.phase == taking || r.phase == committing || r.phase == fencing) && r.flight.record.is(wr.record)
}

// mayAnswer: the answer is there, or may still come.
func (w *world) mayAnswer(r relay) bool {
	for _, req := range w.sent {
		if req.author != 0 && req.write.record.is(r.flight.record) {
			return true
		}
	}
	return r.answer.kind != none
}

// apply stores the first n messages of a write that is allowed.
func (p protocol) apply(w *world, wr write, n uint8) answer {
	fenced := !(wr.bare && p.pipelined) && !p.noExpectation
	if _, seq := w.last(w.length); fenced && seq != wr.expect {
		return answer{kind: refused}
	}
	list := make([]message, 0, maxBatch+1)
	for e := wr.first + 1; e <= wr.last; e++ {
		list = append(list, message{event: e})
	}
	if wr.end != 0 && wr.end != w.length {
		return answer{kind: refused}
	}
	if !wr.bare {
		list = append(list, message{record: wr.record})
	}
	if p.recordThenEvents {
		list = append(list[len(list)-1:len(list):len(list)], list[:len(list)-1]...)
	}
	seq := uint8(0)
	for _, m := range list[:min(int(n), len(list))] {
		at := w.append(m)
		if m.event == 0 || wr.lone {
			seq = at
		}
	}
	return answer{kind: ok, seq: seq}
}

// loseUnseen is a server that comes back with older data while the relay is connected
// to another one of the cluster: what is under way still arrives.
func (w *world) loseUnseen(n uint8) {
	w.faults.unseen--
	for i := n; i < w.length; i++ {
		w.stream[i] = message{}
	}
	w.length = n
}

// loseTail is a single server that comes back with older data: every connection to it
// was cut, with what was on it.
func (w *world) loseTail(n uint8) {
	w.faults.tailLosses--
	for i := n; i < w.length; i++ {
		w.stream[i] = message{}
	}
	w.length = n
	w.sent = [inFlight]request{}
	for i := range w.relays {
		w.relays[i].reconnected = true
		w.relays[i].answer = answer{}
	}
}
