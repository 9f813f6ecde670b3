package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/bench"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/relay"
)

func newBench(p process) *cobra.Command {
	var b bench.Config
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this database, this broker, and binjet between them",
		Long: fmt.Sprintf(`Measure what this set-up can do, and where the time goes: before production, or when it
is slow.

It writes to a table %[1]s in the database of source.dsn and publishes to a stream
%[2]s with the replicas, placement and compression of stream.name, both of which it
makes and takes away again. Where one of them exists it refuses. It never touches the
outbox tables, the stream, or the checkpoint of binjet run, which may run meanwhile.

But it is load: its rows go into the binlog, and so to every replica and past every
binjet run, and its events take their share of the broker's disks. On a system that is
in use, choose a quiet hour and small numbers.

The account needs REPLICATION SLAVE, and CREATE, DROP and INSERT on that table;
docs/security.md has both as statements.`, bench.Table, bench.Stream),
		Example: `  binjet bench
  binjet bench --writers 16 --size 2000 --rate 500
  binjet bench --duration 1s --rows 2000 -o json`,
		Args: noArguments,
		RunE: visiting(p, true, func(v *visit, _ []string) error {
			if err := b.Validate(); err != nil {
				return err
			}
			return failed(v.bench(b))
		}),
	}
	f := cmd.Flags()
	f.DurationVar(&b.Duration, "duration", 5*time.Second, "length of each part that goes by time; there are five")
	f.IntVar(&b.Writers, "writers", 4, "transactions that are written at a time")
	f.Float64Var(&b.Rate, "rate", 100, "commits per second while latency is measured; what is above the database's rate measures its queue")
	f.IntVar(&b.Size, "size", 300, "size of a payload in bytes")
	f.IntVar(&b.Rows, "rows", 20000, "rows of the backlog that is drained, at least")
	addSettings(cmd)
	return cmd
}

func (v *visit) bench(b bench.Config) error {
	schema := benchSchema(v.cfg)
	db, err := openDatabase(v.ctx, v.cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(b.Writers + 1)
	db.SetMaxIdleConns(b.Writers + 1)
	nc, _, err := v.broker()
	if err != nil {
		return err
	}
	defer nc.Close()
	b.DB, b.Schema, b.Conn, b.Progress = db, schema, nc, v.say
	b.Like, b.Replicas, b.CommitTimeout = v.cfg.Stream.Name, v.cfg.Stream.Replicas, v.cfg.Relay.CommitTimeout
	b.Reader = func() (relay.Source, error) {
		return newReader(benchSource(v.cfg, schema), slog.New(slog.DiscardHandler), binlog.Hooks{})
	}
	report, err := bench.Run(v.ctx, b)
	if v.ctx.Err() != nil && err != nil {
		return advise(errors.Join(errors.New("interrupted"), err), "run it again; what it made was taken away, unless it says otherwise")
	}
	if err != nil {
		return benchAdvice(v, err)
	}
	return emit(v.cmd, report, report.Text)
}

// benchSchema is where the table goes: the DSN's database, or that of the first table.
func benchSchema(cfg config.Config) string {
	if cfg.Database.Name != "" {
		return cfg.Database.Name
	}
	schema, _, _ := strings.Cut(cfg.Source.Tables[0], ".")
	return schema
}

// benchSource is a source of the table alone, which is laid out as binjet makes it.
func benchSource(cfg config.Config, schema string) config.Config {
	s := &cfg.Source
	s.Name, s.Tables, s.Start, s.OnGap, s.OnUpdate = bench.Source, []string{schema + "." + bench.Table}, "latest", "halt", "halt"
	s.Columns, s.Route, s.Headers, s.ContentType, s.BinaryUUID = config.Columns{}, config.Route{}, nil, "", "standard"
	s.ServerID = 0 // under the configured one it would end the connection of a relay that runs
	return cfg
}

// benchAdvice adds the next step where the server named what is missing.
func benchAdvice(v *visit, err error) error {
	switch serverCode(err) {
	case errTableDenied, errDatabaseDenied:
		return advise(err, "grant the account of the bench what docs/security.md lists")
	case errReadOnly, errSuperReadOnly:
		return advise(err, "give the writable server in source.dsn: rows are written for this")
	}
	if next := jetstreamNextStep(err); next != "" {
		return advise(err, next)
	}
	return err
}

// Errors of a server that takes no writes.
const (
	errReadOnly      = 1290
	errSuperReadOnly = 1836
)
