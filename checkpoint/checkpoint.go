package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the newest form of the record that this code reads and writes. A
// record is written in the oldest form that holds it, so that an older binjet
// refuses only what it would misread: see [Position.Form].
const Version = 2

// ErrNewer is returned by [Decode] for a record that a newer binjet wrote.
// Reading on without understanding it could skip or repeat events.
var ErrNewer = errors.New("checkpoint was written by a newer version of binjet: upgrade this one")

// Checkpoint is the record on the checkpoint subject: who wrote it, and what is
// true of the stream at its sequence.
type Checkpoint struct {
	V      int    `json:"v"`
	Source string `json:"source"`
	// Epoch counts take-overs. It never decreases on a stream that keeps its data.
	Epoch uint64 `json:"epoch"`
	// Instance is the process that wrote it, Since when its epoch began, by its clock;
	// zero in records of before.
	Instance string    `json:"instance"`
	Since    time.Time `json:"since,omitzero"`
	// Nonce is unique to the write, so that a writer that lost the reply can tell
	// whether its own write is what the stream holds.
	Nonce string `json:"nonce"`

	Position

	// From is the sequence at which Position was true. 0 means the record's own,
	// as in every batch; a take-over keeps the one of the record it replaced.
	From uint64 `json:"from,omitempty"`
	// Count is how many events of this source have been published in all.
	Count uint64 `json:"count"`
	// PrevSeq is the sequence of the checkpoint before, which this one replaced.
	PrevSeq uint64    `json:"prev_seq"`
	At      time.Time `json:"at"`
	// Released says that its writer stopped cleanly, or can't reach the source:
	// another may take over at once.
	Released bool `json:"released,omitempty"`
	// Set is the last time that an operator set the position. Later records keep it.
	Set *Set `json:"set,omitempty"`
}

// Set says that an operator set the position, and why. It is for people only.
type Set struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// From and To are the positions, as [Position.Where] says them.
	From string `json:"from"`
	To   string `json:"to"`
}

// Encode returns the record as it is stored.
func (c Checkpoint) Encode() ([]byte, error) {
	c.V = c.Form()
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}
	return data, nil
}

// Decode reads a record. It refuses one of a newer version by [ErrNewer], and
// anything that is not a whole record.
func Decode(data []byte) (Checkpoint, error) {
	var head struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint is not a record of binjet: %w", err)
	}
	if head.V > Version {
		return Checkpoint{}, fmt.Errorf("%w (record version %d, known up to %d)", ErrNewer, head.V, Version)
	}
	var c Checkpoint
	if err := json.Unmarshal(data, &c); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint is not a record of binjet: %w", err)
	}
	if c.V < 1 || c.Source == "" || c.Nonce == "" || c.Epoch == 0 {
		return Checkpoint{}, fmt.Errorf("checkpoint is not a record of binjet: v, source, nonce or epoch is missing")
	}
	return c, nil
}

// TrueAt is the sequence at which the position of c, stored at seq, was true.
func (c Checkpoint) TrueAt(seq uint64) uint64 {
	if c.From != 0 {
		return c.From
	}
	return seq
}
