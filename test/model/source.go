package model

import (
	"fmt"
	"slices"
	"strings"
)

// The second model: a binlog, what reads it, and the position that it leaves in the
// stream. How a batch gets into the stream is the first one's; here it is one step.

// kind of a group of the binlog.
type kind uint8

const (
	insert     kind = iota + 1 // an event, committed
	foreign                    // nothing of ours
	rolledBack                 // a row of ours that is in the log and was rolled back
	prepare                    // an event of a transaction whose outcome is not known yet
	xaCommit                   // of the one that is prepared
	xaRollback                 //
	opaque                     // an event, committed, in a form that can't be read
)

func (k kind) String() string {
	return [...]string{"", "insert", "another's", "rolled back", "XA PREPARE", "XA COMMIT", "XA ROLLBACK", "opaque"}[k]
}

// group is what has a GTID of its own, as a bit of a set: a server that lost its tail
// gives the same GTID a second time. No two groups have one id, which is their event's, too.
type group struct {
	kind kind
	id   uint8
	gtid uint16
}

const longest = 5 // binlog, of all worlds

// binlog is a server's, of which the first ones may be purged.
type binlog struct {
	groups    [longest]group
	n, purged uint8
}

func (b *binlog) all() []group { return b.groups[:b.n] }

func gtidsOf(list []group) (set uint16) {
	for _, g := range list {
		set |= g.gtid
	}
	return set
}

// undecided is the prepared transaction among the groups of a set; its id is 0 for none.
func (b *binlog) undecided(set uint16) (p group) {
	for _, g := range b.all() {
		switch {
		case g.gtid&set == 0:
		case g.kind == prepare:
			p = g
		case g.kind == xaCommit, g.kind == xaRollback:
			p = group{}
		}
	}
	return p
}

// committed are the events of a set's groups, in the order of their commits.
func (b *binlog) committed(set uint16) (list []uint8) {
	var p uint8
	for _, g := range b.all() {
		switch {
		case g.kind == prepare:
			p = g.id
		case g.gtid&set == 0:
		case g.kind == insert, g.kind == opaque:
			list = append(list, g.id)
		case g.kind == xaCommit:
			list = append(list, p)
		}
	}
	return list
}

// passes: a group of that kind is in a set.
func (b *binlog) passes(set uint16, k kind) bool {
	return slices.ContainsFunc(b.all(), func(g group) bool { return g.gtid&set != 0 && g.kind == k })
}

// position is what a checkpoint says of the source.
type position struct {
	resume uint16 // groups that are done with, and not sent again
	xa     uint8  // the one of them that is prepared and undecided
	last   group  // that was read, to be compared
}

// pending is a group that was read and whose position is not in the stream.
type pending struct {
	event uint8 // 0 for none
	after position
}

type readerPhase uint8

const (
	down   readerPhase = iota // no process, or one that has just taken over: it knows the stream only
	cutOff                    // without a connection to the source
	reading
	haltedReader
)

// reader is the process. All but what the stream holds is lost when it dies.
type reader struct {
	phase  readerPhase
	at     uint8    // the group that comes next
	pos    position // behind all that was read
	parked uint8    // the event of pos.xa, if its row is in memory
	queue  [2]pending
	queued uint8
}

// troubles that may still come.
type troubles struct {
	crashes, drops uint8 // of the process, and of its connection to the source
	purges         uint8
	tailLosses     uint8 // of a server that comes back without its last group
	failOvers      uint8 // to a server that has everything, or everything but the last group
	opaque         uint8

	groups uint8 // none: how many the binlog has in the end, 4 by default
}

// source is one state: the server, the reader, and the stream.
type source struct {
	server     binlog
	successor  bool   // the server is not the first one any more
	lost       binlog // as it was before the last group was lost; n is 0 if none was
	made       uint8  // groups, so far
	read       uint16 // groups that any reader ever read
	reader     reader
	stream     [longest + 1]uint8
	length     uint8
	checkpoint position
	troubles
	needless bool // it halted, and nothing was amiss
}

// amiss reports whether a person has to see to it: what a position needs is not there, is
// another's, or can't be read.
func (w *source) amiss(p position) bool {
	b := &w.server
	have := gtidsOf(b.all())
	if p.resume&^have != 0 || gtidsOf(b.groups[:b.purged])&^p.resume != 0 {
		return true
	}
	rowsGone, undecided := uint8(0), b.undecided(p.resume)
	for i, g := range b.all() {
		switch {
		case g.gtid == p.last.gtid && g.id != p.last.id:
			return true
		case g.gtid&p.resume == 0 && g.kind == opaque:
			return true
		case g.id == undecided.id && i < int(b.purged):
			rowsGone = g.id
		case g.gtid&p.resume == 0 && g.kind == xaCommit && rowsGone != 0:
			return true
		}
	}
	return false
}

// finished: all is published, or a person is waited for.
func (w *source) finished() bool {
	return w.reader.phase == haltedReader || w.checkpoint.resume == gtidsOf(w.server.all())
}

// broken names the invariant that a state breaks.
func (w *source) broken() string {
	c, events := w.checkpoint, w.stream[:w.length]
	histories := []*binlog{&w.server}
	if w.lost.n > 0 {
		histories = append(histories, &w.lost)
	}
	holds := func(is func(*binlog) bool) bool {
		for _, b := range histories {
			if is(b) {
				return true
			}
		}
		return false
	}
	switch {
	case w.needless:
		return "I9: the reader halts, and nothing is amiss"
	case c.resume&^w.read != 0:
		return "I9: the position is behind a group that nobody has read"
	case holds(func(b *binlog) bool { return b.passes(c.resume, opaque) }):
		return "I9: the position is behind a group that can't be read"
	case !holds(func(b *binlog) bool { return within(events, b.committed(^uint16(0))) }):
		for _, e := range events {
			if !holds(func(b *binlog) bool { return within([]uint8{e}, b.committed(^uint16(0))) }) {
				return fmt.Sprintf("I5: event %d is published and was not committed", e)
			}
		}
		return "I9: the stream goes on with another history"
	case !holds(func(b *binlog) bool { return isPrefix(events, b.committed(^uint16(0))) }):
		return "I1: an event is left out"
	case !holds(func(b *binlog) bool { return string(b.committed(c.resume)) == string(events) }):
		return "I4: the position is not that of the events"
	case !holds(func(b *binlog) bool { return b.undecided(c.resume).id == c.xa }):
		return "I4: the position holds an undecided transaction that it does not name"
	}
	return ""
}

// within: all of list are there, in this order.
func within(list, in []uint8) bool {
	for _, e := range in {
		if len(list) > 0 && list[0] == e {
			list = list[1:]
		}
	}
	return len(list) == 0
}

func isPrefix(list, of []uint8) bool {
	return len(list) <= len(of) && string(list) == string(of[:len(list)])
}

func (w *source) String() string {
	var b strings.Builder
	for i, g := range w.server.all() {
		if i < int(w.server.purged) {
			b.WriteString("purged ")
		}
		fmt.Fprintf(&b, "%d:%s(%#x) ", g.id, g.kind, g.gtid)
	}
	fmt.Fprintf(&b, "| reader at %d, %d queued | stream %v, resume %#x, XA %d", w.reader.at, w.reader.queued, w.stream[:w.length], w.checkpoint.resume, w.checkpoint.xa)
	return b.String()
}
