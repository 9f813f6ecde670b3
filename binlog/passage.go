package binlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// Passage is what lies between two positions of one history.
type Passage struct {
	// Transactions are those of all tables, Events the outbox rows among them.
	Transactions, Events uint64
	// First and Last are when the first and the last of them were committed; zero for none.
	First, Last time.Time
	// Whole says that all of it was read; else there is more.
	Whole bool
}

// Passage counts what upto is past and from is not, by reading the binlog. It
// reads until that is found, ctx ends, or each, which gets every such transaction
// or part of one and may be nil, says that it is enough; then Whole is false and
// there is no error. A position that the source can't be read from is a
// *checkpoint.HaltError.
//
// Of a position whose snapshot is not taken yet nothing can be said: that is an error.
func (r *Reader) Passage(ctx context.Context, from, upto checkpoint.Position, each func(*checkpoint.Transaction) (enough bool)) (p Passage, err error) {
	if unread(from) || unread(upto) {
		return p, errors.New("count the transactions between two positions: the snapshot of one of them is not begun")
	}
	if past(from, upto) {
		return Passage{Whole: true}, nil
	}
	at := from.Clone()
	at.Snapshot = nil
	err = r.Stream(ctx, at, func(tx *checkpoint.Transaction) error {
		at.Apply(tx)
		if upto.Has(tx.GTID) {
			p.add(tx)
			if each != nil && each(tx) {
				return errEnough
			}
		}
		if past(at, upto) {
			return errReached
		}
		return nil
	})
	switch {
	case errors.Is(err, errReached):
		p.Whole = true
		return p, nil
	case errors.Is(err, errEnough), errors.Is(err, context.DeadlineExceeded) && p.Transactions > 0:
		return p, nil
	}
	return p, fmt.Errorf("read the binlog from %s to %s: %w", from.Where(), upto.Where(), err)
}

var errEnough = constError("enough was read")

func (p *Passage) add(tx *checkpoint.Transaction) {
	p.Events += uint64(len(tx.Messages))
	if tx.More {
		return
	}
	p.Transactions++
	if tx.Committed.IsZero() {
		return
	}
	if p.First.IsZero() {
		p.First = tx.Committed
	}
	p.Last = tx.Committed
}
