// Package logging makes the process's logger: zerolog behind log/slog, so that
// every line, those of go-mysql and nats.go included, has one format.
package logging

import (
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/rs/zerolog"
)

// Formats of a log.
const (
	Auto    = "auto" // console on a terminal, JSON otherwise
	Console = "console"
	JSON    = "json"
)

// New returns a logger that writes lines at or above level ("debug", "info",
// "warn", "error") to w.
func New(w io.Writer, level, format string) *slog.Logger {
	return NewLeveled(w, ParseLevel(level), format)
}

// NewLeveled is [New] with a level that may change, such as a [slog.LevelVar].
func NewLeveled(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	if format == Console || format == Auto && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "2006-01-02 15:04:05.000", NoColor: !isTerminal(w) || os.Getenv("NO_COLOR") != ""}
	}
	return slog.New(&handler{out: zerolog.New(w), level: level})
}

// ParseLevel is the level of a name; info for any other text.
func ParseLevel(s string) slog.Level {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// isTerminal reports whether w is a device that shows characters to somebody.
// /dev/null is one too, which does no harm.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
