package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// do runs the command in this process.
func do(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = execute(process{args: args, environ: environ, stdout: &out, stderr: &err})
	return code, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, test := range map[string]struct {
		args   []string
		code   int
		out    string // on stdout
		errors string // on stderr
	}{
		"nothing":         {nil, 2, "", "name a command"},
		"help":            {[]string{"--help"}, 0, "Exit codes", ""},
		"unknown command": {[]string{"rnu"}, 2, "", `unknown command "rnu"`},
		"unknown flag":    {[]string{"run", "--dns=x"}, 2, "", "unknown flag: --dns"},
		"argument":        {[]string{"check", "x"}, 2, "", "binjet check takes no arguments"},
		"no DSN":          {[]string{"run"}, 2, "", "source.dsn is missing"},
		"no file":         {[]string{"check", "-c", "absent.yaml"}, 2, "", "absent.yaml"},
		"version":         {[]string{"version"}, 0, "go      go1.", ""},
		"keys":            {[]string{"help", "configuration"}, 0, "source.dsn", ""},
		"SQL":             {[]string{"init", "--print-sql", "--tables=a.b,c"}, 0, "TABLE IF NOT EXISTS `c`", ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := do(nil, test.args...)
			if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errors) {
				t.Errorf("exit %d\nstdout: %s\nstderr: %s", code, out, errs)
			}
			if n := strings.Count(errs, test.errors); test.errors != "" && n != 1 {
				t.Errorf("said %d times: %s", n, errs)
			}
		})
	}
}

// Every key stands in the help.
func TestConfigurationTopic(t *testing.T) {
	_, out, _ := do(nil, "help", "configuration")
	for _, k := range config.Keys() {
		if !strings.Contains(out, "\n  "+k.Name) || !strings.Contains(out, k.Help) {
			t.Errorf("%s is missing", k.Name)
		}
	}
}

func TestMappedColumnsAreNotCreated(t *testing.T) {
	code, out, errs := do([]string{"BINJET_SOURCE_COLUMNS_PAYLOAD=body"}, "init", "--print-sql")
	if code != exitFailure || out != "" || !strings.Contains(errs, "source.columns") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

func TestExitCode(t *testing.T) {
	halt := &checkpoint.HaltError{Problem: "gap"}
	for want, errs := range map[int][]error{
		exitOK:      {nil, failed(nil)},
		exitFailure: {failed(io.EOF), toldFailure(io.EOF), failed(advise(io.EOF, "x")), failed(&preflightError{})},
		exitUsage:   {io.EOF, failed(&config.Error{Faults: []config.Fault{{Problem: "x"}}}), &config.Error{}},
		exitHalted:  {failed(halt), toldFailure(fmt.Errorf("read: %w", halt)), failed(failed(halt))},
	} {
		for _, err := range errs {
			if got := exitCode(err); got != want {
				t.Errorf("%v is %d, want %d", err, got, want)
			}
		}
	}
}

func TestStoppedSaysWhy(t *testing.T) {
	for want, err := range map[string]error{
		`problem=gap next=look cause=EOF exit_code=3`: fmt.Errorf("x: %w", &checkpoint.HaltError{Problem: "gap", Hint: "look", Cause: io.EOF}),
		`msg=failed error=EOF next=retry exit_code=1`: advise(io.EOF, "retry"),
		`msg=failed error=EOF exit_code=1`:            io.EOF,
		`msg=stopped`:                                 nil,
	} {
		var out bytes.Buffer
		got := stopped(slog.New(slog.NewTextHandler(&out, nil)), err)
		if (got == nil) != (err == nil) || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
		text := strings.ReplaceAll(out.String(), "level=ERROR ", "")
		for _, part := range strings.Fields(want) {
			if !strings.Contains(text, part) {
				t.Errorf("%v: no %s in %s", err, part, text)
			}
		}
	}
}

func TestStopOn(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	hang := func(release chan struct{}) func(context.Context) error {
		return func(context.Context) error { <-release; return nil }
	}
	for name, test := range map[string]struct {
		signals int
		work    func(context.Context) error // nil: one that does not stop
		want    string
	}{
		"ends by itself":       {0, func(context.Context) error { return io.EOF }, "EOF"},
		"stops":                {1, func(ctx context.Context) error { <-ctx.Done(); return nil }, ""},
		"stops with ctx error": {1, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, ""},
		"fails while stopping": {1, func(ctx context.Context) error { <-ctx.Done(); return io.EOF }, "EOF"},
		"second signal":        {2, nil, "second signal"},
		"does not stop":        {1, nil, "within 15s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				work := test.work
				if work == nil {
					work = hang(release)
				}
				signals := make(chan os.Signal, 2)
				for range test.signals {
					signals <- syscall.SIGTERM
				}
				err := stopOn(t.Context(), signals, stopTimeout, quiet, work)
				if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestRedactURLs(t *testing.T) {
	got := redactURLs([]string{"nats://u:s3cret@a:4222", "s3cret@b", "tls://c", "nats://s3cret:%zz@d"})
	if want := "nats://a:4222, nats://b, tls://c, [unreadable]"; got != want {
		t.Errorf("%s", got)
	}
}

func TestNextSteps(t *testing.T) {
	for err, want := range map[error]string{
		nats.ErrAuthorization:      "nats.creds",
		nats.ErrSecureConnRequired: "nats.tls",
		nats.ErrNoServers:          "nats.url",
		// A client certificate is refused once we have written.
		&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.ECONNRESET)}: "nats.tls.cert",
		&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}:      "nats.tls.cert",
	} {
		if got := natsNextStep(fmt.Errorf("connect: %w", err)); !strings.Contains(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
	for err, want := range map[error]string{
		&jetstream.APIError{ErrorCode: codeSubjectsOverlap}: "stream.name",
		&jetstream.APIError{ErrorCode: codeReplicas}:        "stream.replicas",
		jetstream.ErrJetStreamNotEnabled:                    "JetStream",
		context.DeadlineExceeded:                            "$JS.API",
		io.EOF:                                              "",
	} {
		if got := jetstreamNextStep(err); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// The connection reconnects for ever, buffers nothing, and is known by its name.
func TestConnectNATS(t *testing.T) {
	server := natstest.Start(t)
	cfg := config.Config{Source: config.Source{Name: "shop"}, NATS: config.NATS{URL: []string{server.URL()}}}
	nc, err := connectNATS(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if o := nc.Opts; o.Name != "binjet shop" || o.MaxReconnect != -1 || o.ReconnectBufSize != -1 || o.RetryOnFailedConnect || !o.IgnoreAuthErrorAbort {
		t.Errorf("%+v", o)
	}
	again := nc.StatusChanged(nats.CONNECTED)
	server.Restart()
	select {
	case <-again:
	case <-t.Context().Done():
		t.Fatal("not connected again")
	}
}
