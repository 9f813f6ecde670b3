package producer

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// uuidv7 makes UUIDs of version 7 (RFC 9562) that strictly grow within one
// generator, also when the clock stands still or is set back. The 12 bits behind
// the millisecond are its fraction (method 3 of section 6.2), and serve as the
// counter when IDs are made faster than the clock moves.
type uuidv7 struct {
	mu   sync.Mutex
	last uint64 // milliseconds << 12 | fraction

	now func() time.Time // nil is time.Now
}

func (g *uuidv7) next() string {
	stamp := g.stamp()
	var u [16]byte
	binary.BigEndian.PutUint64(u[0:], stamp>>12<<16|0x7<<12|stamp&0xfff)
	_, _ = rand.Read(u[8:]) // never fails: it ends the process instead
	u[8] = u[8]&0x3f | 0x80
	return format(u)
}

func (g *uuidv7) stamp() uint64 {
	now := time.Now
	if g.now != nil {
		now = g.now
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	ns := uint64(now().UnixNano())
	ms, rest := ns/1e6, ns%1e6
	g.last = max(g.last+1, ms<<12|rest<<12/1e6)
	return g.last
}

func format(u [16]byte) string {
	var s [36]byte
	hex.Encode(s[0:8], u[0:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:36], u[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
