package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// lookedAt bounds how many of a stream's first messages are asked for their source.
const lookedAt = 1000

// hintAnew is the one way to begin anew on purpose that repeats no event for a
// handler: a new source name has no history, and message IDs stay what they are.
const hintAnew = "Find out who deleted it. Where there is an export of the position, binjet position import goes on from there. To begin anew, choose another source.name and a source.start " +
	"(a GTID set, or snapshot to publish the rows of the table again; consumers know them by their message ID)"

// refuseUsed halts where a source without checkpoint and copies has events in
// the stream all the same: both were deleted, and beginning anew would repeat or
// leave out events. It asks the last event, and in a stream of several sources the first ones.
func (r *Relay) refuseUsed(ctx context.Context, state store.State) error {
	last, err := r.store.Last(ctx, r.cfg.SubjectPrefix+".>")
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	msg := last
	for n, next := 0, state.FirstSeq; ; n++ {
		if msg.Header.Get(binjet.HeaderSource) == r.cfg.Name {
			return &checkpoint.HaltError{Hint: hintAnew, Problem: fmt.Sprintf(
				"stream %s holds event %s of source %s at sequence %d, but neither its checkpoint nor a copy of it",
				r.cfg.Stream, msg.Header.Get(binjet.HeaderID), r.cfg.Name, msg.Seq)}
		}
		if n == lookedAt || next >= last.Seq {
			return nil
		}
		if msg, err = r.store.Next(ctx, next); err != nil {
			return err
		}
		next = msg.Seq + 1
	}
}
