package binjet

import (
	"encoding/json"
	"errors"
	"fmt"
)

var errNotHeaders = errors.New("not a JSON object of strings and lists of strings")

// scanner reads the JSON of a headers column, which is valid UTF-8. encoding/json
// would do, but takes the last of two equal names without a word and several
// times as long, on the path of every event.
type scanner struct {
	b string
	i int
}

func decodeObject(column []byte) (Headers, error) {
	s := scanner{b: string(column)} // which all names and values are parts of
	if s.takeWord("null") {
		return nil, s.end()
	}
	if !s.take('{') {
		return nil, errNotHeaders
	}
	h := make(Headers)
	if s.take('}') {
		return h, s.end()
	}
	for {
		if err := s.member(h); err != nil {
			return nil, err
		}
		switch {
		case s.take(','):
		case s.take('}'):
			return h, s.end()
		default:
			return nil, errNotHeaders
		}
	}
}

func (s *scanner) member(h Headers) error {
	name, err := s.string()
	if err != nil {
		return err
	}
	if !s.take(':') {
		return errNotHeaders
	}
	values, err := s.values()
	if err != nil {
		return fmt.Errorf("header %s: %w", clip(name), err)
	}
	if _, twice := h[name]; twice {
		return fmt.Errorf("header %s stands there twice", clip(name))
	}
	h[name] = values
	return nil
}

func (s *scanner) values() ([]string, error) {
	if !s.take('[') {
		v, err := s.string()
		return []string{v}, err
	}
	if s.take(']') {
		return nil, nil
	}
	var values []string
	for {
		v, err := s.string()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		switch {
		case s.take(','):
		case s.take(']'):
			return values, nil
		default:
			return nil, errNotHeaders
		}
	}
}

func (s *scanner) string() (string, error) {
	if !s.take('"') {
		return "", errNotHeaders
	}
	escaped := false
	for start := s.i; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c < ' ':
			return "", errNotHeaders
		case c == '\\':
			escaped = true
			s.i++
		case c == '"':
			s.i++
			if !escaped {
				return s.b[start : s.i-1], nil
			}
			var v string
			err := json.Unmarshal([]byte(s.b[start-1:s.i]), &v)
			return v, err
		}
	}
	return "", errNotHeaders
}

// take steps over c and the white space before it, if they come next.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.i == len(s.b) || s.b[s.i] != c {
		return false
	}
	s.i++
	return true
}

func (s *scanner) takeWord(word string) bool {
	s.space()
	if len(s.b)-s.i < len(word) || s.b[s.i:s.i+len(word)] != word {
		return false
	}
	s.i += len(word)
	return true
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) end() error {
	if s.space(); s.i != len(s.b) {
		return errNotHeaders
	}
	return nil
}
