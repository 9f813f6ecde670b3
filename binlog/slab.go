package binlog

// slab cuts small pieces off a larger one, so that each of them is no allocation. The
// larger one stays for as long as any of its pieces.
type slab[T any] struct{ rest []T }

// take returns n zeros, of a piece of so many unless that is too many of it.
func (s *slab[T]) take(n, of int) []T {
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
