package logging

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/rs/zerolog"
)

// timeFormat has milliseconds; zerolog's default, a global, stops at seconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// handler is a slog.Handler that writes by zerolog. zerolog's own (SlogHandler)
// puts attributes that were added before a group into the group, prints durations
// as bare numbers and times without fractions.
type handler struct {
	out    zerolog.Logger
	level  slog.Leveler
	prefix string // of open groups, with its dot
	fields []field
}

type field struct {
	key   string
	value slog.Value
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	e := h.out.WithLevel(zerologLevel(r.Level))
	if !r.Time.IsZero() {
		e = e.Str(zerolog.TimestampFieldName, r.Time.Format(timeFormat))
	}
	for _, f := range h.fields {
		e = write(e, f)
	}
	r.Attrs(func(a slog.Attr) bool {
		for _, f := range flatten(nil, h.prefix, a) {
			e = write(e, f)
		}
		return true
	})
	e.Msg(r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.fields = append([]field(nil), h.fields...)
	for _, a := range attrs {
		c.fields = flatten(c.fields, h.prefix, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

// flatten appends a to list, a group as its members with dotted keys.
func flatten(list []field, prefix string, a slog.Attr) []field {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			list = flatten(list, prefix, member)
		}
		return list
	}
	if a.Equal(slog.Attr{}) {
		return list
	}
	return append(list, field{prefix + a.Key, v})
}

func write(e *zerolog.Event, f field) *zerolog.Event {
	switch f.value.Kind() {
	case slog.KindString:
		return e.Str(f.key, f.value.String())
	case slog.KindInt64:
		return e.Int64(f.key, f.value.Int64())
	case slog.KindUint64:
		return e.Uint64(f.key, f.value.Uint64())
	case slog.KindFloat64:
		return e.Float64(f.key, f.value.Float64())
	case slog.KindBool:
		return e.Bool(f.key, f.value.Bool())
	case slog.KindDuration:
		return e.Str(f.key, f.value.Duration().Round(time.Microsecond).String())
	case slog.KindTime:
		return e.Str(f.key, f.value.Time().Format(timeFormat))
	}
	switch v := f.value.Any().(type) {
	case nil:
		return e.Interface(f.key, nil)
	case error:
		return e.Str(f.key, v.Error())
	case fmt.Stringer:
		return e.Str(f.key, v.String())
	case []byte:
		return e.Bytes(f.key, v)
	default:
		return e.Interface(f.key, v)
	}
}

func zerologLevel(l slog.Level) zerolog.Level {
	switch {
	case l < slog.LevelInfo:
		return zerolog.DebugLevel
	case l < slog.LevelWarn:
		return zerolog.InfoLevel
	case l < slog.LevelError:
		return zerolog.WarnLevel
	}
	return zerolog.ErrorLevel
}
