package producer

import (
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var pattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestUUIDv7Layout(t *testing.T) {
	at := time.UnixMilli(0x017F22E279B0).Add(500 * time.Microsecond) // the time of RFC 9562, appendix A.6, and half a millisecond
	g := &uuidv7{now: func() time.Time { return at }}
	id := g.several(1)
	if !pattern.MatchString(id) || !strings.HasPrefix(id, "017f22e2-79b0-7800-") {
		t.Fatalf("got %s", id)
	}
	if raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", "")); err != nil || len(raw) != 16 {
		t.Fatalf("%s is not 16 bytes: %v", id, err)
	}
}

func TestUUIDv7Grows(t *testing.T) {
	now := time.UnixMilli(0x017F22E279B0)
	g := &uuidv7{now: func() time.Time { return now }}
	last := ""
	for i := range 20_000 { // a clock that stands still for more than a millisecond's worth of IDs
		if i == 10_000 {
			now = now.Add(-time.Hour) // and is set back
		}
		id := g.several(1)
		if id <= last || !pattern.MatchString(id) {
			t.Fatalf("%d: %s after %s", i, id, last)
		}
		last = id
	}
	now = now.Add(2 * time.Hour)
	if id := g.several(1); !strings.HasPrefix(id, hexMillis(now)) {
		t.Fatalf("%s does not follow the clock", id)
	}
}

func hexMillis(t time.Time) string {
	ms := uint64(t.UnixMilli())
	s := hex.EncodeToString([]byte{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)})
	return s[:8] + "-" + s[8:]
}

func TestUUIDv7Concurrent(t *testing.T) {
	g := new(uuidv7)
	ids := make([][]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			for n := range 1000 {
				for some := g.several(n % 4); some != ""; some = some[idLength:] {
					ids[i] = append(ids[i], some[:idLength])
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, of := range ids {
		for j, id := range of {
			if seen[id] || j > 0 && id <= of[j-1] {
				t.Fatalf("%s is not new, or smaller than the one before it", id)
			}
			seen[id] = true
		}
	}
}

func TestUUIDv7Several(t *testing.T) {
	g := new(uuidv7)
	if g.several(0) != "" {
		t.Fatal("none are not none")
	}
	last := g.several(1)
	random := map[string]bool{}
	for _, n := range []int{1, 31, 32, 33, 100} {
		ids := g.several(n)
		if len(ids) != n*idLength {
			t.Fatalf("%d IDs are %d characters", n, len(ids))
		}
		for ; ids != ""; ids = ids[idLength:] {
			id := ids[:idLength]
			if id <= last || !pattern.MatchString(id) || random[id[19:]] {
				t.Fatalf("%s after %s", id, last)
			}
			last, random[id[19:]] = id, true
		}
	}
}
