package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The handler keeps the contract of log/slog, groups as dotted keys.
func TestHandlerConforms(t *testing.T) {
	var out bytes.Buffer
	err := slogtest.TestHandler(New(&out, "debug", JSON).Handler(), func() (list []map[string]any) {
		for line := range strings.Lines(out.String()) {
			var flat map[string]any
			if err := json.Unmarshal([]byte(line), &flat); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			list = append(list, nest(flat))
		}
		return list
	})
	if err != nil {
		t.Error(err)
	}
}

// nest turns dotted keys into maps, and zerolog's names into slog's.
func nest(flat map[string]any) map[string]any {
	top := make(map[string]any)
	for key, v := range flat {
		if key == "message" {
			key = slog.MessageKey
		}
		at := top
		parts := strings.Split(key, ".")
		for _, p := range parts[:len(parts)-1] {
			if at[p] == nil {
				at[p] = make(map[string]any)
			}
			at = at[p].(map[string]any)
		}
		at[parts[len(parts)-1]] = v
	}
	return top
}

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

func TestValues(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, "info", JSON)
	log.Debug("not this one")
	log.With("a", 1).WithGroup("g").Info("hello", "d", 1500*time.Millisecond, "err", errors.New("broken"),
		"secret", secret("s3cret"), "level", slog.LevelWarn, "list", []string{"x"}, "nothing", nil)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	for key, want := range map[string]any{"level": "info", "message": "hello", "a": 1.0, "g.d": "1.5s", "g.err": "broken", "g.secret": "[redacted]", "g.level": "WARN"} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if _, err := time.Parse(timeFormat, got["time"].(string)); err != nil {
		t.Error(err)
	}
}

func TestLevels(t *testing.T) {
	for level, want := range map[string]string{"debug": "dbg inf wrn err", "info": "inf wrn err", "warn": "wrn err", "error": "err"} {
		var out bytes.Buffer
		log := New(&out, level, Console)
		log.Debug("x")
		log.Info("x")
		log.Warn("x")
		log.Error("x")
		var got []string
		for line := range strings.Lines(out.String()) {
			got = append(got, strings.ToLower(strings.Fields(line)[2]))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s", level, s)
		}
	}
}

// A pipe is no terminal, so auto is JSON and console has no colours.
func TestFormats(t *testing.T) {
	var auto, console bytes.Buffer
	New(&auto, "info", Auto).Info("x")
	New(&console, "info", Console).Info("x", "k", "v")
	if !json.Valid(auto.Bytes()) {
		t.Errorf("auto: %q", auto.String())
	}
	if s := console.String(); !strings.Contains(s, "INF x k=v") || strings.Contains(s, "\x1b") {
		t.Errorf("console: %q", s)
	}
}
