package binlog

import (
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// A part is at most as large as an atomic batch can be: 1000 messages, one of
// which is the checkpoint, with one to spare.
const (
	partRows  = 998
	partBytes = 3 << 20
)

// partition yields one transaction in parts, leaving out what was yielded before.
type partition struct {
	*stream
	begun bool
	gtid  checkpoint.GTID
	at    time.Time
	total int // rows of the transaction
	skip  int // of them, published already
	seen  int // rows read so far
	next  int // rows yielded so far, skipped ones included
	sum   hashes
	held  []binjet.Message
	bad   []checkpoint.Invalid // of them
	bytes int

	decided string                  // XID of the XA transaction whose rows these are
	behind  checkpoint.FilePosition // it, where files are read by position
}

func (p *partition) begin(g checkpoint.GTID, at time.Time, total int) {
	*p = partition{stream: p.stream, begun: true, gtid: g, at: at, total: total}
	if part := p.stream.at.Partial; part != nil && part.GTID == g {
		p.skip, p.next = part.Rows, part.Rows
	}
}

// same says whether the transaction is the one that is published in part.
func (p *partition) same() error {
	part := p.stream.at.Partial
	if p.skip == 0 || part.Committed.IsZero() || part.Committed.Equal(p.at) || !timesCompare(p.stream.srv, p.stream.at) {
		return nil
	}
	return halt(ErrRewritten, hintRewritten, "transaction %s, of which %d rows are published, was committed at %s; the server now has one of this number that was committed at %s",
		p.gtid, part.Rows, stamp(part.Committed), stamp(p.at))
}

// add takes the next row of the transaction that is read by plan.
func (p *partition) add(m binjet.Message, fault *RowError, at time.Time) error {
	if !p.begun {
		plan := p.stream.plan
		p.begin(plan.gtid, at, plan.rows)
	}
	if p.seen == 0 {
		if err := p.same(); err != nil {
			return err
		}
	}
	p.sum.add(&m)
	p.seen++
	if p.seen <= p.skip {
		return nil
	}
	n := size(&m)
	if len(p.held) == partRows || len(p.held) > 0 && p.bytes+n > partBytes {
		if err := p.flush(true); err != nil {
			return err
		}
	}
	if fault != nil {
		p.bad = append(p.bad, fault.invalid(len(p.held)))
	}
	p.held = append(p.held, m)
	p.bytes += n
	return nil
}

// end yields the last part. The transaction must be what it was the first time.
func (p *partition) end(g *group) error {
	if !p.begun {
		p.begin(g.gtid, g.committed, g.rows)
	}
	defer func() { p.begun = false }()
	if p.seen != p.total || p.skip > p.total {
		return halt(nil, "The server's history changed while a large transaction was published: compare the outbox table with the stream",
			"transaction %s has %d outbox rows now, %d before, and %d of it are published", p.gtid, p.seen, p.total, p.skip)
	}
	p.decided, p.behind = g.decided, g.end
	return p.flush(false)
}

// whole yields a held group in parts.
func (p *partition) whole(g *group) error {
	p.begin(g.gtid, g.committed, len(g.messages))
	faults := make(map[int]*RowError, len(g.invalid))
	for _, row := range g.invalid {
		faults[row.index] = row.fault
	}
	for i := range g.messages {
		if err := p.add(g.messages[i], faults[i], g.committed); err != nil {
			return err
		}
	}
	return p.end(g)
}

func (p *partition) flush(more bool) error {
	tx := &checkpoint.Transaction{GTID: p.gtid, Committed: p.at, Messages: p.held, Invalid: p.bad, Offset: p.next, More: more}
	if !more {
		tx.Hash, tx.Decided, tx.Binlog = p.sum.sum, p.decided, p.behind
	}
	p.next += len(p.held)
	p.held, p.bad, p.bytes = nil, nil, 0
	return p.stream.emit(tx)
}
