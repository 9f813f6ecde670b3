package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/relay"
)

func newCheck(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check everything that binjet needs of the source and the stream",
		Long: `Check everything that binjet needs of the source and the stream, and say what is
missing and how to mend it. Nothing is changed. The exit code is 1 when a check fails.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadSettings(cmd, p.environ)
			if err != nil {
				return failed(err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return check(ctx, cmd, p, cfg)
		},
	}
	addSettings(cmd)
	return cmd
}

// check asks both sides, whatever the other one says, and prints what it found.
func check(ctx context.Context, cmd *cobra.Command, p process, cfg config.Config) error {
	log := logging.New(p.stderr, quietLevel(cfg), cfg.Log.Format)
	logWarnings(log, cfg)
	reader, err := newReader(cfg, log, binlog.Hooks{})
	if err != nil {
		return failed(err)
	}
	nc, natsErr := connectNATS(cfg, log, nil)
	var at *checkpoint.Position
	if natsErr == nil {
		defer nc.Close()
		at = position(ctx, cfg, nc)
	}
	source := checkSource(ctx, cfg, reader, at)
	var verify verifier = reader.Verify
	if countFailed(source) > 0 {
		verify = nil
	}
	var stream []binlog.Finding
	if natsErr != nil {
		stream = append(stream, failure("connection", natsErr))
	} else {
		stream = checkStream(ctx, cfg, nc, reader, verify, log)
	}
	return verdict(cmd, checkReport{
		Source: checkSide{Name: cfg.Source.Name, At: cfg.Database.Addr, Checks: checkResults(source)},
		Stream: checkSide{Name: cfg.Stream.Name, At: redactURLs(cfg.NATS.URL), Checks: checkResults(stream)},
		Checks: len(source) + len(stream), Failed: countFailed(source) + countFailed(stream),
	})
}

// checkReport is the result of check, as JSON too.
type checkReport struct {
	Source checkSide `json:"source"`
	Stream checkSide `json:"stream"`
	Checks int       `json:"checks"`
	Failed int       `json:"failed"`
}

// checkSide is what was found on one side; At is its address without secrets.
type checkSide struct {
	Name   string        `json:"name"`
	At     string        `json:"at"`
	Checks []checkResult `json:"checks"`
}

// checkResult is one precondition: ok, and then maybe with a warning, or not, and
// then mostly with what mends it.
type checkResult struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail"`
	Warning string `json:"warning,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

func checkResults(findings []binlog.Finding) []checkResult {
	list := make([]checkResult, 0, len(findings))
	for _, f := range findings {
		list = append(list, checkResult{f.Name, f.OK, f.Detail, f.Warning, f.Fix})
	}
	return list
}

func verdict(cmd *cobra.Command, report checkReport) error {
	err := emit(cmd, report, report.print)
	if err == nil && report.Failed > 0 {
		return toldFailure(errors.New("checks failed"))
	}
	return err
}

func (r checkReport) print(w io.Writer) error {
	r.Source.print(w, "source")
	r.Stream.print(w, "stream")
	if r.Failed > 0 {
		_, err := fmt.Fprintf(w, "%d of %d checks failed\n", r.Failed, r.Checks)
		return err
	}
	_, err := fmt.Fprintf(w, "all %d checks passed\n", r.Checks)
	return err
}

func countFailed(findings []binlog.Finding) (n int) {
	for _, f := range findings {
		if !f.OK {
			n++
		}
	}
	return n
}

// print prints one line per check, so that grep FAIL shows it all.
func (s checkSide) print(w io.Writer, kind string) {
	width := 0
	for _, c := range s.Checks {
		width = max(width, len(c.Name))
	}
	_, _ = fmt.Fprintf(w, "%s %s at %s\n", kind, s.Name, s.At)
	for _, c := range s.Checks {
		mark, fix := "ok", ""
		switch {
		case !c.OK:
			mark = "FAIL"
			if c.Fix != "" {
				fix = "  fix: " + c.Fix
			}
		case c.Warning != "":
			mark, fix = "warn", "  "+c.Warning
		}
		_, _ = fmt.Fprintf(w, "  %-4s  %-*s  %s%s\n", mark, width, c.Name, c.Detail, fix)
	}
}

func checkSource(ctx context.Context, cfg config.Config, reader *binlog.Reader, at *checkpoint.Position) []binlog.Finding {
	findings, err := checkReader(ctx, cfg, reader, at)
	if err == nil {
		return findings
	}
	cause := failure("connection", sourceError(findings, err))
	return append(slices.DeleteFunc(findings, func(f binlog.Finding) bool { return !f.OK }), cause)
}

// failure is err as a finding, with its advice as the fix.
func failure(name string, err error) binlog.Finding {
	f := binlog.Finding{Name: name, Detail: err.Error()}
	var advice *adviceError
	if errors.As(err, &advice) {
		f.Detail, f.Fix = advice.what.Error(), advice.next
	}
	return f
}

func passed(name, format string, args ...any) binlog.Finding {
	return binlog.Finding{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)}
}

func checkStream(ctx context.Context, cfg config.Config, nc *nats.Conn, reader *binlog.Reader, verify verifier, log *slog.Logger) []binlog.Finding {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list := []binlog.Finding{passed("connection", "%s", nc.ConnectedUrlRedacted())}
	if err := relay.CheckServer(nc); err != nil {
		return append(list, binlog.Finding{Name: "server version", Detail: err.Error(), Fix: "upgrade nats-server"})
	}
	list = append(list, passed("server version", "%s", nc.ConnectedServerVersion()))
	r, err := relay.New(relayConfig(cfg, nc, reader, log))
	if err != nil {
		return append(list, failure("relay", err))
	}
	in, err := r.Inspect(ctx)
	if err != nil {
		return append(list, failure("stream", natsError(nc, err)))
	}
	list = append(list, streamFindings(cfg, in)...)
	if in.StreamExists {
		list = append(list, checkPosition(ctx, cfg, nc, verify))
	}
	return list
}

func streamFix(in relay.Inspection) string {
	if in.StreamExists {
		return "change that setting of the stream, or set stream.name and stream.subject_prefix for another one, which binjet creates"
	}
	return "set stream.name to that stream, or stream.subject_prefix or source.name to what no other stream takes"
}

func streamFindings(cfg config.Config, in relay.Inspection) (list []binlog.Finding) {
	name := cfg.Stream.Name
	for _, fault := range in.Faults {
		list = append(list, binlog.Finding{Name: "stream", Detail: fault,
			Fix: streamFix(in)})
	}
	switch {
	case len(in.Faults) > 0:
	case in.StreamExists:
		list = append(list, passed("stream", "%s can be used", name))
	case !cfg.Stream.Manage:
		list = append(list, binlog.Finding{Name: "stream", Detail: name + " does not exist", Fix: "create it by binjet init, or set stream.manage to true"})
	}
	if !in.BucketExists && !cfg.Stream.Manage {
		list = append(list, binlog.Finding{Name: "bucket", Detail: "the bucket of checkpoint copies does not exist",
			Fix: "create it by binjet init, or set stream.manage to true"})
	}
	if !in.DeadLettersExist && !cfg.Stream.Manage && cfg.Source.OnInvalid == string(relay.Quarantine) {
		list = append(list, binlog.Finding{Name: "dead letters", Detail: "stream " + deadletter.Stream(name) + " does not exist",
			Fix: "create it by binjet init, set stream.manage to true, or set source.on_invalid to halt"})
	}
	for _, change := range in.Changes {
		if len(in.Faults) > 0 {
			break
		}
		list = append(list, passed("to do", "binjet run or init will %s", change))
	}
	for _, drift := range in.Drift {
		list = append(list, passed("note", "%s; it is left as it is", drift))
	}
	return list
}

// verifier says whether the source can be read on from a position.
type verifier func(context.Context, checkpoint.Position) error

// checkPosition says whether the source can be read on from the checkpoint. A nil
// verify is a source with faults, which has to be mended before it can be asked.
func checkPosition(ctx context.Context, cfg config.Config, nc *nats.Conn, verify verifier) binlog.Finding {
	const name = "checkpoint"
	held, err := store.New(nc, cfg.Stream.Name, cfg.Source.Name).Load(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return passed(name, "none yet: source.start=%s says where to begin", cfg.Source.Start)
	}
	if err != nil {
		return failure(name, err)
	}
	detail := fmt.Sprintf("epoch %d, %d events, written %s ago by %s", held.Epoch, held.Count,
		time.Since(held.At).Round(time.Second), held.Instance)
	if held.Released {
		detail += " and released"
	}
	if verify == nil {
		return passed(name, "%s; not compared with the source", detail)
	}
	var halted *checkpoint.HaltError
	switch err := verify(ctx, held.Position); {
	case errors.As(err, &halted):
		problem := halted.Problem
		if halted.Cause != nil {
			problem += ": " + halted.Cause.Error()
		}
		return binlog.Finding{Name: name, Detail: detail + ", but " + problem, Fix: halted.Hint}
	case err != nil:
		return failure(name, fmt.Errorf("compare it with the source: %w", err))
	}
	return passed(name, "%s; the source can be read on from it", detail)
}

// quietLevel is the level for commands that print a result of their own.
func quietLevel(cfg config.Config) string {
	if cfg.Log.Level == "debug" || cfg.Log.Level == "error" {
		return cfg.Log.Level
	}
	return "warn"
}
