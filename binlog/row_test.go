package binlog

import (
	"reflect"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

// TestContentTypeOfRows: a row has the headers of its own column, whatever the rows
// before it had.
func TestContentTypeOfRows(t *testing.T) {
	e := outboxMap()
	columns := []struct {
		column any
		want   binjet.Message
	}{
		{`{"Content-Type":"a/b"}`, binjet.Message{ContentType: "a/b"}},
		{`{"Content-Type":"a/b"}`, binjet.Message{ContentType: "a/b"}},
		{`{"Content-Type":"a/c"}`, binjet.Message{ContentType: "a/c"}},
		{nil, binjet.Message{ContentType: "of/table"}},
		{`{"Content-Type":"a/c","x":"1"}`, binjet.Message{ContentType: "a/c", Headers: binjet.Headers{"x": {"1"}}}},
		{`{"x":"2"}`, binjet.Message{ContentType: "of/table", Headers: binjet.Headers{"x": {"2"}}}},
		{`{}`, binjet.Message{ContentType: "of/table"}},
		{`{"Content-Type":["a/d","a/e"]}`, binjet.Message{Headers: binjet.Headers{"Content-Type": {"a/d", "a/e"}}}},
		{`{"Content-Type":"a/c"}`, binjet.Message{ContentType: "a/c"}},
	}
	for name, change := range map[string]func(*Config){
		"as they are":           func(*Config) {},
		"a column for a header": func(c *Config) { c.Headers = []string{"message_key:Y"} },
	} {
		cfg := Config{}.withDefaults()
		cfg.ContentType = "of/table"
		change(&cfg)
		d := newDecoder(newMapping(cfg))
		for i, tt := range columns {
			key := any("k")
			if i%2 == 0 {
				key = nil
			}
			m, fault := d.layoutOf(e).message([]any{"1", "a", key, tt.column, "p", "2026-01-01 00:00:00"}, nil, time.Time{})
			if fault != nil {
				t.Fatalf("%s, row %d: %v", name, i, fault)
			}
			if len(cfg.Headers) > 0 {
				if got := m.Headers.Get("Y"); (got == "k") != (key != nil) {
					t.Errorf("%s, row %d: Y is %q", name, i, got)
				}
				delete(m.Headers, "Y")
			}
			if m.ContentType != tt.want.ContentType || len(m.Headers)+len(tt.want.Headers) > 0 && !reflect.DeepEqual(m.Headers, tt.want.Headers) {
				t.Errorf("%s, row %d: %q %v", name, i, m.ContentType, m.Headers)
			}
		}
	}
}
