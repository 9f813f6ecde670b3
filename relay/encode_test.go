package relay

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

// TestSeconds: times of the same second, and of others, in any zone, are written as the
// layout says.
func TestSeconds(t *testing.T) {
	var s seconds
	dice := rand.New(rand.NewPCG(1, 2))
	zones := []*time.Location{time.UTC, time.FixedZone("", 5*3600+1800), time.FixedZone("", -11*3600)}
	year := func(n int) int64 { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC).Unix() }
	for _, from := range []int64{0, -1, year(1), year(1000), year(9999), 1_790_000_000} {
		for range 1000 {
			at := time.Unix(from+dice.Int64N(3), dice.Int64N(1e9)).In(zones[dice.IntN(3)])
			if got, want := string(s.append([]byte("x"), at)), "x"+at.UTC().Format(binjet.CreatedAtLayout); got != want {
				t.Fatalf("%v is %q, want %q", at, got, want)
			}
		}
	}
}
