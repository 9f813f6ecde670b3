package verify

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/binjet/binjet/checkpoint"
)

// order follows the numbers of transactions as the stream has them.
type order struct {
	last map[checkpoint.GTID]place // by origin: the server, and tag or domain
}

// place is the last event of an origin.
type place struct {
	n     uint64
	file  checkpoint.FilePosition
	index int
	seq   uint64
}

func newOrder() *order { return &order{last: make(map[checkpoint.GTID]place)} }

// next takes an event, and says why it can't follow the one before; "" that it
// can. What has no transaction, as rows of a snapshot, is passed over.
func (o *order) next(m event) string {
	g, err := checkpoint.ParseGTID(m.tx)
	if err != nil || g.IsZero() {
		return ""
	}
	now := place{n: g.N, seq: m.seq}
	number, _, _ := strings.Cut(m.index, "/")
	now.index, _ = strconv.Atoi(number)
	origin := g
	origin.N = 0
	if g.File != "" {
		now.file, origin.File = checkpoint.FilePosition{File: g.File, Offset: g.N}, ""
	}
	if g.Flavor == checkpoint.MariaDB {
		origin.Server = 0 // numbers go on over the servers of a domain
	}
	before, known := o.last[origin]
	if known && now.isBefore(before) {
		return fmt.Sprintf("%s, event %s, comes after a later one at sequence %d", m.tx, m.index, before.seq)
	}
	o.last[origin] = now
	return ""
}

func (p place) isBefore(q place) bool {
	switch {
	case !p.file.IsZero() && p.file != q.file:
		return p.file.Before(q.file)
	case p.n != q.n:
		return p.n < q.n
	}
	return p.index <= q.index
}

// inOrder reports what is out of order, and what is no event.
func (v *verification) inOrder(m event) {
	if m.id == "" {
		v.report.add(Finding{Kind: Foreign, Sequence: m.seq, Detail: "a message on " + m.subject + " that no relay published"})
		return
	}
	if why := v.order.next(m); why != "" && v.inRange(m.created) {
		v.report.add(Finding{Kind: Disorder, ID: m.id, Sequence: m.seq, Created: m.created, Detail: why})
	}
}
