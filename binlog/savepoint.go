package binlog

import "strings"

// span is a run of dropped rows of a group: the ordinals from ≤ n < to.
type span struct{ from, to int }

// savepoints is the stack of a group's savepoints. Names are case-insensitive,
// and setting one again removes the old one, as in SQL.
type savepoints struct {
	stack []savepoint
}

type savepoint struct {
	name string
	row  int // ordinal of the next row when it was set
}

func (s *savepoints) set(name string, row int) {
	name = strings.ToLower(name)
	if i := s.find(name); i >= 0 {
		s.stack = append(s.stack[:i], s.stack[i+1:]...)
	}
	s.stack = append(s.stack, savepoint{name, row})
}

// rollback returns the ordinal that name was set at and drops what was set
// behind it; name itself stays. ok is false when there is no such savepoint.
func (s *savepoints) rollback(name string) (row int, ok bool) {
	i := s.find(strings.ToLower(name))
	if i < 0 {
		return 0, false
	}
	s.stack = s.stack[:i+1]
	return s.stack[i].row, true
}

// release drops name and what was set behind it.
func (s *savepoints) release(name string) {
	if i := s.find(strings.ToLower(name)); i >= 0 {
		s.stack = s.stack[:i]
	}
}

func (s *savepoints) find(name string) int {
	for i := len(s.stack) - 1; i >= 0; i-- {
		if s.stack[i].name == name {
			return i
		}
	}
	return -1
}

// dropFrom adds the ordinals from ≤ n < to to the dropped ones. Spans within
// it are swallowed, so the list stays sorted and disjoint.
func dropFrom(list []span, from, to int) []span {
	for len(list) > 0 && list[len(list)-1].from >= from {
		list = list[:len(list)-1]
	}
	if n := len(list); n > 0 && list[n-1].to >= from {
		list[n-1].to = to
		return list
	}
	if from == to {
		return list
	}
	return append(list, span{from, to})
}

// dropped counts the ordinals in list.
func dropped(list []span) (n int) {
	for _, s := range list {
		n += s.to - s.from
	}
	return n
}
