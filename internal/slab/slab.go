// Package slab makes one allocation of many small ones.
package slab

// Slab cuts small pieces off a larger one, so that each of them is no allocation. The
// larger one stays for as long as any of its pieces. One goroutine uses it.
type Slab[T any] struct{ rest []T }

// Take returns n zeros, off a piece of so many unless n is more than an eighth of it.
func (s *Slab[T]) Take(n, of int) []T {
	if n > of/8 {
		return make([]T, n)
	}
	if len(s.rest) < n {
		s.rest = make([]T, of)
	}
	piece := s.rest[:n:n]
	s.rest = s.rest[n:]
	return piece
}
