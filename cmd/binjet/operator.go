package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
)

// visit is what the commands of an operator have in common: the configuration, and
// a context that a signal ends.
type visit struct {
	cmd  *cobra.Command
	p    process
	cfg  config.Config
	log  *slog.Logger
	ctx  context.Context
	stop context.CancelFunc
}

// visiting runs work with a visit. needsSource is false for commands that ask the
// broker only, which then do without a DSN if the source's name is known.
func visiting(p process, needsSource bool, work func(*visit, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		in := settingsInput(cmd, p.environ)
		in.Offline = !needsSource
		cfg, err := config.Load(in)
		if err != nil {
			return failed(err)
		}
		v := &visit{cmd: cmd, p: p, cfg: cfg, log: logging.New(p.stderr, quietLevel(cfg), cfg.Log.Format)}
		v.ctx, v.stop = signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer v.stop()
		return work(v, args)
	}
}

// reader reads the source under a random server ID: under the configured one it
// would end the connection of a relay that runs.
func (v *visit) reader(change ...func(*config.Source)) (*binlog.Reader, error) {
	cfg := v.cfg
	cfg.Source.ServerID = 0
	for _, f := range change {
		f(&cfg.Source)
	}
	return newReader(cfg, v.log, binlog.Hooks{})
}

// broker connects to NATS. The caller closes it.
func (v *visit) broker() (*nats.Conn, jetstream.JetStream, error) {
	nc, err := connectNATS(v.cfg, v.log, nil)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// say prints progress, which is no result: on standard error.
func (v *visit) say(format string, args ...any) { fmt.Fprintf(v.p.stderr, format+"\n", args...) }

var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// mayAsk refuses to begin what has to be confirmed where nobody can answer.
func (v *visit) mayAsk() error {
	if v.yes() || v.dryRun() {
		return nil
	}
	if f, ok := v.p.stdin.(*os.File); v.p.stdin == nil || ok && !isTerminal(f) {
		return errors.New("this has to be confirmed: run it on a terminal, or give --yes; --dry-run shows what would be done")
	}
	return nil
}

func (v *visit) yes() bool {
	yes, _ := v.cmd.Flags().GetBool("yes")
	return yes
}

// confirmed asks on a terminal, unless --yes is given.
func (v *visit) confirmed(question string) error {
	if v.yes() {
		return nil
	}
	if err := v.mayAsk(); err != nil {
		return err
	}
	fmt.Fprintf(v.p.stderr, "%s Type yes to go on: ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(v.p.stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		if line == "yes" {
			return nil
		}
	case <-v.ctx.Done():
		fmt.Fprintln(v.p.stderr)
	}
	return failed(errNotConfirmed)
}

// isTerminal: the null device is a character device as well.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// addConfirmation gives cmd the flags of what changes something.
func addConfirmation(cmd *cobra.Command) {
	cmd.Flags().Bool("yes", false, "do not ask; for scripts")
	cmd.Flags().Bool("dry-run", false, "show what would be done, and change nothing")
}

func (v *visit) dryRun() bool {
	dry, _ := v.cmd.Flags().GetBool("dry-run")
	return dry
}

// operator is who runs the command, for the record.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// lines prints several lines as the text of a result.
func lines(list ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(list, "\n")+"\n")
		return err
	}
}
