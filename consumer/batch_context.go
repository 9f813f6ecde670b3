package consumer

import (
	"context"

	"github.com/binjet/binjet/internal/runenv"
)

// together is the context of a batch. It ends with the first context of its
// messages: where a share goes to another process, or has to, none of the batch
// may go on for that one's sake.
func (e *engine) together(group []*delivery) (context.Context, func()) {
	shares := make(map[*share]struct{})
	for _, d := range group {
		if d.item != nil {
			shares[d.item.share] = struct{}{}
		}
	}
	if len(shares) < 2 {
		return e.context(group[0]), func() {}
	}
	work, cancelWork := context.WithCancelCause(e.work)
	reading, stopReading := context.WithCancel(context.Background())
	undo := []func() bool{}
	for s := range shares {
		undo = append(undo,
			context.AfterFunc(s.work, func() { cancelWork(context.Cause(s.work)) }),
			context.AfterFunc(s.reading, stopReading))
	}
	env := runenv.From(e.work)
	env.Stopping = reading.Done()
	return runenv.With(work, env), func() {
		for _, f := range undo {
			f()
		}
		cancelWork(nil)
		stopReading()
	}
}
