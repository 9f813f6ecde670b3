package producer

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
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

// idLength is the length of an ID as text.
const idLength = 36

// several returns n IDs, one after the other in one string: most of what an ID
// costs is the clock, the random source and the allocation, and is paid once.
func (g *uuidv7) several(n int) string {
	if n == 0 {
		return ""
	}
	var ids strings.Builder
	ids.Grow(idLength * n)
	var random [32 * 8]byte
	stamp := g.stamps(n)
	for i := range n {
		at := i % 32 * 8
		if at == 0 {
			_, _ = rand.Read(random[:8*min(n-i, 32)]) // never fails: it ends the process instead
		}
		var u [16]byte
		binary.BigEndian.PutUint64(u[0:], stamp>>12<<16|0x7<<12|stamp&0xfff)
		copy(u[8:], random[at:at+8])
		u[8] = u[8]&0x3f | 0x80
		text := format(u)
		ids.Write(text[:])
		stamp++
	}
	return ids.String()
}

// stamps returns the first of n stamps in a row that nobody else gets.
func (g *uuidv7) stamps(n int) uint64 {
	now := time.Now
	if g.now != nil {
		now = g.now
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	ns := uint64(now().UnixNano())
	ms, rest := ns/1e6, ns%1e6
	first := max(g.last+1, ms<<12|rest<<12/1e6)
	g.last = first + uint64(n) - 1
	return first
}

func format(u [16]byte) (s [idLength]byte) {
	hex.Encode(s[0:8], u[0:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:36], u[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return s
}
