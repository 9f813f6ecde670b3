package binlog

import (
	"context"
	"log/slog"
)

// quiet is the logger for go-mysql. Its Info lines hold its whole configuration,
// and with it the TLS keys, so they are dropped. Its warnings and errors are also
// returned to us, which is where they are judged, so here they are only of use
// to somebody who debugs.
func quiet(l *slog.Logger) *slog.Logger { return slog.New(quietHandler{l.Handler()}) }

type quietHandler struct{ slog.Handler }

func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h quietHandler) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level < slog.LevelWarn {
		return nil
	}
	out := slog.NewRecord(rec.Time, slog.LevelDebug, "go-mysql: "+rec.Message, 0)
	rec.Attrs(func(a slog.Attr) bool { out.AddAttrs(a); return true })
	return h.Handler.Handle(ctx, out)
}

func (h quietHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(a)}
}
func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name)}
}
