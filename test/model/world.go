package model

import (
	"fmt"
	"strings"
)

// checkpoint is the record on the checkpoint subject. Author and serial are its nonce.
type checkpoint struct {
	author, serial uint8
	epoch          uint8
	pos            uint8 // events 1 to pos are in the stream ...
	from           uint8 // ... at this sequence; 0 for the record's own
}

func (c checkpoint) is(o checkpoint) bool { return c.author == o.author && c.serial == o.serial }

// trueAt is the sequence at which the position was true, for the record at seq.
func (c checkpoint) trueAt(seq uint8) uint8 {
	if c.from != 0 {
		return c.from
	}
	return seq
}

// message of the stream: an event, or a checkpoint where event is 0. Its sequence is
// its index + 1.
type message struct {
	event  uint8
	record checkpoint
}

// write is a commit: events first+1 to last and the checkpoint behind them.
type write struct {
	first, last uint8
	record      checkpoint
	expect      uint8      // sequence of the checkpoint that it replaces
	prev        checkpoint // and which one that is

	bare bool  // no checkpoint with it
	lone bool  // and one event, behind a checkpoint; bare without it is of unsafe protocols only
	end  uint8 // the length of the stream that it expects; 0 for any
}

func (w write) events() uint8 { return w.last - w.first }

// answer of the broker to a write.
type answer struct {
	kind uint8
	seq  uint8
}

const (
	none uint8 = iota
	ok
	refused
)

type phase uint8

const (
	standby  phase = iota
	taking         // the compare-and-set of a take-over is under way
	scanning       // look for events behind the checkpoint that was taken over from
	leading
	committing // a batch or a heartbeat is under way
	fencing    // the checkpoint before a batch is written again
	fenced     // and what lies behind it is looked through
	settling   // the answer was no OK: read the checkpoint
	verifying  // the connection is a new one: is the checkpoint still ours?
	halted
)

func (p phase) String() string {
	return [...]string{"standby", "taking", "scanning", "leading", "committing", "fencing", "fenced", "settling", "verifying", "halted"}[p]
}

// relay is one process. What a crash leaves is the serial only, since a nonce is random.
type relay struct {
	phase  phase
	after  phase // what an OK of the write leads to
	back   phase // where verifying came from
	serial uint8
	epoch  uint8 // the highest seen

	held    checkpoint // the last one of ours in the stream
	heldSeq uint8
	pos     uint8 // published: held.pos, and the strays or lone events behind it
	alone   uint8 // lone events behind held.pos
	tail    uint8 // sequence of the last of them; 0 once a checkpoint lies behind it
	flight  write
	batch   write // the batch that waits for the fence
	answer  answer

	reconnected bool // since the held checkpoint was acknowledged or read
}

const (
	relays   = 2
	inFlight = 4 // requests that may be under way at once
)

// faults that may still happen. A take-over is one where another relay is at work, a
// timeout where the answer could still come; beats are none, but there is no end to them.
type faults struct {
	takeOvers, timeouts, crashes, tailLosses, stale, torn, lies, beats, twice uint8

	source uint8 // none: how many events the source has, 3 by default

	// unseen are losses of the tail that no connection ends with: the stream's server is
	// not the one that the relay is connected to.
	unseen uint8
}

type request struct {
	author uint8 // 0 for an empty slot
	write  write
}

// world is one state. It is comparable, so that a map can know it.
type world struct {
	stream [24]message
	length uint8
	relays [relays]relay
	sent   [inFlight]request
	faults faults
}

func start(f faults) world {
	if f.source == 0 {
		f.source = 3
	}
	w := world{faults: f}
	w.append(message{record: checkpoint{author: 9, from: 1}})
	return w
}

func (w *world) append(m message) uint8 {
	if int(w.length) == len(w.stream) {
		panic("the model's stream is too short for its bounds")
	}
	w.stream[w.length] = m
	w.length++
	return w.length
}

// last is the checkpoint in the first n messages, and its sequence.
func (w *world) last(n uint8) (checkpoint, uint8) {
	for ; w.stream[n-1].event != 0; n-- {
	}
	return w.stream[n-1].record, n
}

// strays are the events behind sequence from and before until.
func (w *world) strays(from, until uint8) (list []uint8) {
	for _, m := range w.stream[from : until-1] {
		if m.event != 0 {
			list = append(list, m.event)
		}
	}
	return list
}

func (w *world) String() string {
	var b strings.Builder
	for _, m := range w.stream[:w.length] {
		if m.event != 0 {
			fmt.Fprintf(&b, "e%d ", m.event)
			continue
		}
		fmt.Fprintf(&b, "[%d.%d epoch %d pos %d] ", m.record.author, m.record.serial, m.record.epoch, m.record.pos)
	}
	for i, r := range w.relays {
		fmt.Fprintf(&b, "| %d %s held %d@%d pos %d ", i+1, r.phase, r.held.serial, r.heldSeq, r.pos)
	}
	return b.String()
}
