package slab

import (
	"slices"
	"testing"
)

// TestSlab: pieces do not overlap, and can't grow into each other.
func TestSlab(t *testing.T) {
	var s Slab[int]
	var pieces [][]int
	for i := range 200 {
		p := s.Take(i%12, 64)
		for j := range p {
			if p[j] != 0 {
				t.Fatalf("piece %d holds %v", i, p)
			}
			p[j] = i
		}
		pieces = append(pieces, p)
		_ = append(p, -1)
	}
	for i, p := range pieces {
		want := make([]int, i%12)
		for j := range want {
			want[j] = i
		}
		if !slices.Equal(p, want) {
			t.Errorf("piece %d holds %v", i, p)
		}
	}
}
