package consumer

import (
	"maps"
	"slices"
	"time"
)

// position is how far a share is: what is finished, and so what is not. It is
// exact and small however long one message waits while others pass it.
type position struct {
	// Cut is a finished message, or the one before the first: every message of the
	// share up to it is finished, but for Open. Reading goes on behind it.
	Cut uint64 `json:"cut"`
	// CutTime is when the message Cut was stored: the same number with another
	// time is another message, since the stream lost its tail. Zero where Cut is no
	// message that was handled.
	CutTime time.Time `json:"cut_time,omitzero"`
	// From is where reading begins while Cut is 0.
	From time.Time `json:"from,omitzero"`
	// Open are the messages before Cut that are not finished: the first by its
	// number, the others by their distance from the one before.
	Open []uint64 `json:"open,omitempty"`
	// OpenTime is when the first of them was stored.
	OpenTime time.Time `json:"open_time,omitzero"`
	// Tries are the failed attempts of messages that are not finished, by number.
	Tries map[uint64]int `json:"tries,omitempty"`
}

// maxTries bounds position.Tries.
const maxTries = 256

// open lists the unfinished messages before Cut.
func (p position) open() []uint64 {
	list := slices.Clone(p.Open)
	for i := 1; i < len(list); i++ {
		list[i] += list[i-1]
	}
	return list
}

// floor is the first message that may be unfinished.
func (p position) floor() uint64 {
	if len(p.Open) > 0 {
		return p.Open[0]
	}
	return p.Cut + 1
}

// rewound is where to read from when the stream has lost the message Cut: from
// the time of the first that is not finished, less a margin for clocks.
func (p position) rewound(margin time.Duration) position {
	from := p.CutTime
	if len(p.Open) > 0 && !p.OpenTime.IsZero() {
		from = p.OpenTime
	}
	return position{From: from.Add(-margin)}
}

// progress keeps the position of a share that is being worked on.
type progress struct {
	high     uint64 // the last message that was received
	highTime time.Time
	from     time.Time
	cut      uint64
	cutTime  time.Time
	open     map[uint64]*item // received and unfinished
	tries    map[uint64]int   // of messages that are still to be received
}

// resume begins at a position. Its open messages have to be received by themselves.
func resume(p position) *progress {
	return &progress{
		high: p.Cut, highTime: p.CutTime, from: p.From, cut: p.Cut, cutTime: p.CutTime,
		open: make(map[uint64]*item), tries: maps.Clone(p.Tries),
	}
}

// received notes a message that was read behind all others, and reports whether
// it can be: a number that was there before means that the stream lost its tail.
func (p *progress) received(it *item) bool {
	if it.seq <= p.high {
		return false
	}
	p.high, p.highTime = it.seq, it.published
	p.carried(it)
	return true
}

// carried notes an open message of the position.
func (p *progress) carried(it *item) {
	p.open[it.seq] = it
	it.tries = p.tries[it.seq]
	delete(p.tries, it.seq)
}

// finished notes that a message is handled, dead or gone.
func (p *progress) finished(it *item) {
	if p.open[it.seq] != it {
		return // of before a rewinding
	}
	delete(p.open, it.seq)
	if it.seq > p.cut {
		p.cut, p.cutTime = it.seq, it.published
	}
}

// position is what to store.
func (p *progress) position() position {
	pos := position{Cut: p.cut, CutTime: p.cutTime, Tries: p.counted()}
	if p.cut == 0 {
		pos.From = p.from
	}
	last := uint64(0)
	for _, seq := range slices.Sorted(maps.Keys(p.open)) {
		if seq > p.cut {
			break // those are read again
		}
		if last == 0 {
			pos.OpenTime = p.open[seq].published
		}
		pos.Open = append(pos.Open, seq-last)
		last = seq
	}
	return pos
}

// counted are the failed attempts of the first maxTries messages that have any.
func (p *progress) counted() map[uint64]int {
	all := maps.Clone(p.tries)
	for seq, it := range p.open {
		if it.tries > 0 {
			if all == nil {
				all = make(map[uint64]int)
			}
			all[seq] = it.tries
		}
	}
	if len(all) > maxTries {
		for _, seq := range slices.Sorted(maps.Keys(all))[maxTries:] {
			delete(all, seq)
		}
	}
	return all
}
