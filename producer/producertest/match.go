package producertest

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/binjet/binjet"
)

// Matcher narrows what is looked for; several narrow it together.
type Matcher func(s *search)

// search is what matchers make up.
type search struct {
	table string
	where string // of the statement, for what an index may help with
	args  []any
	tests []test
}

// test is one condition: what it says, and why a message does not meet it, "" if it does.
type test struct {
	says string
	miss func(m *binjet.Message) string
}

func (s *search) equal(column string, value any) {
	s.where += " AND " + column + " = ?"
	s.args = append(s.args, value)
}

func (s *search) add(says string, miss func(m *binjet.Message) string) {
	s.tests = append(s.tests, test{says, miss})
}

// misses returns why m is not what is looked for, "" when it is.
func (s *search) misses(m *binjet.Message) string {
	for _, t := range s.tests {
		if miss := t.miss(m); miss != "" {
			return miss
		}
	}
	return ""
}

// Table looks into another outbox table than [binjet.DefaultTable].
func Table(name string) Matcher { return func(s *search) { s.table = name } }

// ID matches the message of this ID.
func ID(id string) Matcher {
	return func(s *search) {
		s.equal(binjet.ColumnID, id)
		s.add(fmt.Sprintf("ID %q", id), func(m *binjet.Message) string { return unlike("ID", m.ID, id) })
	}
}

// Topic matches messages of this topic.
func Topic(topic string) Matcher {
	return func(s *search) {
		s.equal(binjet.ColumnTopic, topic)
		s.add(fmt.Sprintf("topic %q", topic), func(m *binjet.Message) string { return unlike("topic", m.Topic, topic) })
	}
}

// Key matches messages of this key; "" those without one.
func Key(key string) Matcher {
	return func(s *search) {
		if key == "" {
			s.where += " AND " + binjet.ColumnKey + " IS NULL"
		} else {
			s.equal(binjet.ColumnKey, key)
		}
		s.add(fmt.Sprintf("key %q", key), func(m *binjet.Message) string { return unlike("key", m.Key, key) })
	}
}

// ContentType matches messages of just this Content-Type.
func ContentType(t string) Matcher {
	return func(s *search) {
		s.add(fmt.Sprintf("content type %q", t), func(m *binjet.Message) string { return unlike("content type", m.ContentType, t) })
	}
}

// Header matches messages whose header name has value as its first value.
func Header(name, value string) Matcher {
	return func(s *search) {
		s.add(fmt.Sprintf("header %s %q", name, value), func(m *binjet.Message) string {
			return unlike("header "+name, m.Headers.Get(name), value)
		})
	}
}

// Payload matches messages with exactly these bytes.
func Payload(p []byte) Matcher {
	return func(s *search) {
		s.add(fmt.Sprintf("payload %q", p), func(m *binjet.Message) string { return unlike("payload", string(m.Payload), string(p)) })
	}
}

// Value matches messages whose payload is want, encoded by c: the bytes are the
// same, or what c decodes from them is deeply equal. Deep equality is not that of
// protobuf messages; where these have maps, use [ValueFunc] with proto.Equal.
func Value[T any](c binjet.Codec, want T) Matcher {
	return func(s *search) {
		s.add(fmt.Sprintf("value %+v", want), func(m *binjet.Message) string {
			if b, err := c.Marshal(want); err == nil && bytes.Equal(b, m.Payload) {
				return ""
			}
			got, err := decodeAs[T](c, m.Payload)
			switch {
			case err != nil:
				return fmt.Sprintf("payload %q is no %T in %s: %v", clip(m.Payload), want, c.ContentType(), err)
			case !reflect.DeepEqual(got, want):
				return fmt.Sprintf("value is %+v", got)
			}
			return ""
		})
	}
}

// ValueFunc matches messages whose payload c can decode, to a value of which ok is true.
func ValueFunc[T any](c binjet.Codec, ok func(v T) bool) Matcher {
	return func(s *search) {
		s.add(fmt.Sprintf("a %T that the test accepts", *new(T)), func(m *binjet.Message) string {
			got, err := decodeAs[T](c, m.Payload)
			switch {
			case err != nil:
				return fmt.Sprintf("payload %q is no %T in %s: %v", clip(m.Payload), got, c.ContentType(), err)
			case !ok(got):
				return fmt.Sprintf("value is %+v", got)
			}
			return ""
		})
	}
}

// Where matches messages of which ok is true; what says it in the test's failure.
func Where(what string, ok func(m *binjet.Message) bool) Matcher {
	return func(s *search) {
		s.add(what, func(m *binjet.Message) string {
			if ok(m) {
				return ""
			}
			return "not " + what
		})
	}
}

// decodeAs decodes as handlers do: a T that is a pointer points to a new value.
func decodeAs[T any](c binjet.Codec, payload []byte) (v T, err error) {
	var into any = &v
	if t := reflect.TypeFor[T](); t.Kind() == reflect.Pointer {
		into = reflect.New(t.Elem()).Interface()
		v = into.(T)
	}
	return v, c.Unmarshal(payload, into)
}

func unlike(what, got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s is %q", what, clip([]byte(got)))
}

func clip(b []byte) []byte {
	if len(b) > 200 {
		return append(b[:200:200], "…"...)
	}
	return b
}
