package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
)

const reloadedFile = "source: {dsn: 'app:s3cret@tcp(db)/shop', start: latest}\nlog: {level: warn}\n"

type reloaded struct {
	*reloader
	file  string
	level *slog.LevelVar
	out   *bytes.Buffer
}

func newReloaded(t *testing.T, in config.Input) *reloaded {
	t.Helper()
	in.File = configFile(t, reloadedFile)
	cfg, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	r := &reloaded{file: in.File, level: new(slog.LevelVar), out: new(bytes.Buffer)}
	r.level.Set(logging.ParseLevel(cfg.Log.Level))
	r.reloader = newReloader(in, cfg, r.level, slog.New(slog.NewTextHandler(r.out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return r
}

// with reloads a file in which old is new, and returns what was logged.
func (r *reloaded) with(t *testing.T, old, new string) string {
	t.Helper()
	if err := os.WriteFile(r.file, []byte(strings.ReplaceAll(reloadedFile, old, new)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.out.Reset()
	r.reload()
	if strings.Contains(r.out.String(), "s3cret") {
		t.Errorf("a secret is logged: %s", r.out)
	}
	return r.out.String()
}

func TestReload(t *testing.T) {
	r := newReloaded(t, config.Input{})
	if log := r.with(t, "level: warn", "level: debug"); r.level.Level() != slog.LevelDebug || !strings.Contains(log, "key=log.level old=warn new=debug") {
		t.Errorf("level %s: %s", r.level.Level(), log)
	}
	if log := r.with(t, "level: warn", "level: debug"); !strings.Contains(log, "applied=0 need_restart=0") {
		t.Errorf("nothing has changed: %s", log)
	}
	log := r.with(t, "start: latest}\nlog: {level: warn}", "start: earliest}\nlog: {level: error}")
	if r.level.Level() != slog.LevelError || !strings.Contains(log, `needs a restart" key=source.start running=latest configured=earliest`) || r.cfg.Source.Start != "latest" {
		t.Errorf("level %s: %s", r.level.Level(), log)
	}
	if log := r.with(t, "level: warn", "level: warn}\nretention: {pause: 1s"); !strings.Contains(log, `nothing here uses yet" key=retention.pause old=100ms new=1s`) {
		t.Errorf("a key of what does not run: %s", log)
	}
	begun := time.Duration(0)
	r.handle("retention.pause", func(c config.Config) { begun = c.Retention.Pause })
	if begun != time.Second {
		t.Errorf("what begins after a reload gets %s", begun)
	}
	if log := r.with(t, "app:s3cret", "app:s3cret2"); !strings.Contains(log, "needs a restart\" key=source.dsn") {
		t.Errorf("a password in the file: %s", log)
	}
}

// A file with faults is told of and changes nothing, nor does one that is gone.
func TestReloadOfFaults(t *testing.T) {
	r := newReloaded(t, config.Input{})
	for _, bad := range []string{"level: loud", "level: debug, colour: red", "level: [", "level: debug}\nsource: {"} {
		if log := r.with(t, "level: warn", bad); r.level.Level() != slog.LevelWarn || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "nothing has changed") {
			t.Errorf("%s: level %s: %s", bad, r.level.Level(), log)
		}
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	r.reload()
	if r.level.Level() != slog.LevelWarn || !strings.Contains(r.out.String(), "can't be read") {
		t.Errorf("no file: %s", r.out)
	}
}

// What a variable or a flag sets the file does not change.
func TestReloadKeepsHigherLayers(t *testing.T) {
	for _, in := range []config.Input{{Environ: []string{"BINJET_LOG_LEVEL=info"}}, {Flags: map[string]string{"log-level": "info"}}} {
		r := newReloaded(t, in)
		if log := r.with(t, "level: warn", "level: debug"); r.level.Level() != slog.LevelInfo || !strings.Contains(log, "applied=0 need_restart=0") {
			t.Errorf("%+v: level %s: %s", in, r.level.Level(), log)
		}
	}
}

// A signal reloads while the work goes on; the work's end is the end.
func TestReloadOnSignal(t *testing.T) {
	r := newReloaded(t, config.Input{})
	if err := os.WriteFile(r.file, []byte(strings.ReplaceAll(reloadedFile, "warn", "debug")), 0o600); err != nil {
		t.Fatal(err)
	}
	hangups, changed, want := make(chan os.Signal), make(chan struct{}), errors.New("end")
	r.handle("log.level", func(c config.Config) {
		if c.Log.Level == "debug" {
			close(changed)
		}
	})
	err := r.on(t.Context(), hangups, func(context.Context) error {
		hangups <- os.Interrupt
		<-changed
		return want
	})
	if !errors.Is(err, want) {
		t.Error(err)
	}
}
