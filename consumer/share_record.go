package consumer

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// recordVersion is of what the bucket holds. A reader refuses a newer one.
const recordVersion = 1

// crashesBeforeCare is after how many deaths in a row a share's owner notes every
// attempt before it begins it.
const crashesBeforeCare = 3

// shareRecord is what the bucket holds for one share. Writing it, each time as a
// compare-and-set, is what an owner may and others may not: whoever writes a new
// epoch into it has the share, and the one before can note no progress any more.
type shareRecord struct {
	V     int    `json:"v"`
	Epoch uint64 `json:"epoch"`
	// Nonce names the writer of the epoch, Write the write: so a write whose answer
	// was lost is recognised.
	Nonce string `json:"nonce"`
	Write uint64 `json:"write"`
	// Owner is the instance that has the share; "" when it was given up.
	Owner string `json:"owner,omitempty"`
	// Reader is the name of the consumer on the broker that the owner reads through.
	Reader string `json:"reader,omitempty"`
	// Stream is when the stream was created that the position is of.
	Stream time.Time `json:"stream"`
	position
	// Crashes counts the owners in a row that died without finishing the message
	// Base, the first that was not finished.
	Crashes int       `json:"crashes,omitempty"`
	Base    uint64    `json:"base,omitempty"`
	At      time.Time `json:"at"`
}

// errNewerRecord says that a newer version of this package wrote the bucket.
var errNewerRecord = errors.New("written by a newer version of binjet: update this process")

func checkVersion(v int) error {
	if v > recordVersion {
		return &permanentError{fmt.Errorf("record of version %d: %w", v, errNewerRecord)}
	}
	return nil
}

// taken is the record that makes owner the owner, in a new epoch at pos. It counts
// what the end of the owner before says about its messages: idle means that
// there were none.
func (r shareRecord) taken(owner string, idle bool, pos position) shareRecord {
	next := shareRecord{
		V: recordVersion, Epoch: r.Epoch + 1, Nonce: newNonce(), Owner: owner,
		Stream: r.Stream, position: pos, Crashes: r.Crashes, Base: r.Base, At: time.Now().UTC(),
	}
	floor := pos.floor()
	switch {
	case r.Owner == owner, idle:
	case r.Owner == "": // given up, in good order
		next.Crashes = 0
	case floor != r.Base:
		next.Crashes = 1
	default:
		next.Crashes++
	}
	next.Base = floor
	return next
}

// careful says that the share's owners keep dying, maybe of one of its messages.
func (r shareRecord) careful() bool { return r.Crashes >= crashesBeforeCare }

// readerName is the name of an epoch's consumer on the broker. No name that a
// user can choose has a '~', and no two epochs have the same nonce, so it is
// never somebody else's.
func (r shareRecord) readerName(consumer string, share, partitions int) string {
	name := consumer
	if partitions > 0 {
		name += "~p" + strconv.Itoa(share)
	}
	return name + "~e" + strconv.FormatUint(r.Epoch, 10) + "~" + r.Nonce
}

func shareKey(share int) string { return "share." + strconv.Itoa(share) }

func newNonce() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
