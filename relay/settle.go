package relay

import (
	"errors"

	"github.com/binjet/binjet/checkpoint/store"
)

// attempt is what a relay wrote, or tried to: a checkpoint that replaces another.
type attempt struct {
	nonce    string
	epoch    uint64
	instance string
	// prevSeq and prevNonce are those of the checkpoint that it replaces; 0 and
	// "" when there was none.
	prevSeq   uint64
	prevNonce string
	// connection is the one on which the stream said so. It may be sent on no other.
	connection uint64
}

// verdict is what an attempt without an OK turned out to be.
type verdict string

const (
	// committed: the stream holds what was written.
	committed verdict = "committed"
	// resend: the stream still holds the checkpoint before, so nothing of the
	// attempt counts yet. The same again is safe when it is a checkpoint alone: one
	// of both can win. A batch needs a fence, since a part of it may be stored.
	resend verdict = "resend"
	// deposed: another relay has written behind us. Stop writing at once.
	deposed verdict = "deposed"
	// older: the stream holds less than it had acknowledged. Either it lost its
	// tail or the answer is stale: a compare-and-set on what it holds will tell.
	older verdict = "older"
	// retry: the stream could not be read. Nothing is known.
	retry verdict = "retry"
)

// settle says what became of an attempt, from what the stream's leader holds.
// held is meaningful only when err is nil.
func settle(a attempt, held store.Held, err error) verdict {
	switch {
	case errors.Is(err, store.ErrNotFound) && a.prevSeq == 0:
		return resend
	case errors.Is(err, store.ErrNotFound):
		return older
	case err != nil:
		return retry
	case held.Nonce == a.nonce:
		return committed
	case held.Seq == a.prevSeq && held.Nonce == a.prevNonce:
		return resend
	case held.Seq > a.prevSeq:
		return deposed
	case held.Epoch > a.epoch:
		return deposed
	case held.Epoch == a.epoch && held.Instance != a.instance:
		return deposed
	}
	return older
}
