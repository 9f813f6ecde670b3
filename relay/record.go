package relay

import (
	"time"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// prepare makes the write that commits b behind held, and behind the events that were
// published by themselves since. released is for the last write of a clean stop.
func (r *Relay) prepare(b *batch, held store.Held, behind *lone, released bool) (*write, error) {
	w, err := r.sealBehind(b, held, checkpoint.Checkpoint{Epoch: held.Epoch, Position: b.pos, Released: released}, len(behind.ids))
	if err == nil {
		w.expectLast = behind.tail
	}
	return w, err
}

// prepareAlone makes the write of b's only event by itself behind held, and right
// behind the sequence last.
func (r *Relay) prepareAlone(b *batch, held store.Held, last uint64) *write {
	return &write{batch: b, alone: true, expectLast: last, attempt: attempt{prevSeq: held.Seq, connection: held.Connection}}
}

// prepareSame makes a write that does not move the position, which stays true
// where it was: a heartbeat, or the release.
func (r *Relay) prepareSame(held store.Held, released bool) (*write, error) {
	return r.seal(&batch{pos: held.Position}, held, checkpoint.Checkpoint{
		Epoch: held.Epoch, Position: held.Position, From: held.TrueAt(held.Seq), Released: released})
}

// prepareTakeOver makes the write that begins an epoch: the same position, true
// at the same sequence.
func (r *Relay) prepareTakeOver(held store.Held, epoch uint64) (*write, error) {
	return r.seal(&batch{pos: held.Position}, held, checkpoint.Checkpoint{
		Epoch: epoch, Position: held.Position, From: held.TrueAt(held.Seq)})
}

func (r *Relay) seal(b *batch, held store.Held, c checkpoint.Checkpoint) (*write, error) {
	return r.sealBehind(b, held, c, 0)
}

// sealBehind is seal behind a number of events that lie behind held.
func (r *Relay) sealBehind(b *batch, held store.Held, c checkpoint.Checkpoint, behind int) (*write, error) {
	c.V = c.Form()
	c.Source = r.cfg.Name
	c.Instance = r.cfg.Instance
	c.Nonce = randomToken(12)
	c.Count = held.Count + uint64(b.events+behind)
	c.PrevSeq = held.Seq
	c.At = time.Now().UTC()
	if c.Set == nil {
		c.Set = held.Set
	}
	if c.Since = held.Since; c.Epoch != held.Epoch {
		c.Since = c.At
	}
	mutateRecord(&c)
	record, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return &write{batch: b, behind: behind, record: record, checkpoint: c, attempt: attempt{
		nonce: c.Nonce, epoch: c.Epoch, instance: c.Instance, prevSeq: held.Seq, prevNonce: held.Nonce, connection: held.Connection,
	}}, nil
}

func (w *write) held(seq uint64) store.Held {
	return store.Held{Checkpoint: w.checkpoint, Seq: seq, Connection: w.attempt.connection}
}
