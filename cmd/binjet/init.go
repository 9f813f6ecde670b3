package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/internal/tlsfault"
	"github.com/binjet/binjet/relay"
)

func newInit(p process) *cobra.Command {
	var printSQL bool
	var variant string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create the outbox tables, the stream and its bucket where they are absent",
		Long: `Create the outbox tables, the stream and the bucket of checkpoint copies where they
are absent. The tables are made, and brought to the newest version, as by binjet schema up;
what else exists is left as it is, so it can be run again at any time.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := variantOf(variant)
			if err != nil {
				return err
			}
			in := settingsInput(cmd, p.environ)
			in.Offline = printSQL
			cfg, err := config.Load(in)
			if err != nil {
				return failed(err)
			}
			if printSQL {
				return printSchema(cmd, cfg, v, 0, false)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return failed(initialise(ctx, &initReport{cmd: cmd}, p, cfg, v, wait))
		},
	}
	cmd.Flags().BoolVar(&printSQL, "print-sql", false, "print the SQL of the outbox tables and do nothing; as binjet schema print")
	addVariant(cmd, &variant, "what a table is, and innodb for a new one")
	cmd.Flags().DurationVar(&wait, "wait", 0, "while a server can't be reached, try again for so long: for containers that start all at once")
	addSettings(cmd)
	return cmd
}

// initialise connects to both sides first, so that nothing is changed on one when
// the other can't be reached.
func initialise(ctx context.Context, report *initReport, p process, cfg config.Config, variant binjet.Variant, wait time.Duration) error {
	log := logging.New(p.stderr, quietLevel(cfg), cfg.Log.Format)
	logWarnings(log, cfg)
	reader, err := newReader(cfg, log, binlog.Hooks{})
	if err != nil {
		return err
	}
	until := time.Now().Add(wait)
	db, err := patiently(ctx, until, func() (*sql.DB, error) { return openDatabase(ctx, cfg) })
	if err != nil {
		return err
	}
	defer db.Close()
	nc, err := patiently(ctx, until, func() (*nats.Conn, error) { return connectNATS(cfg, log, nil) })
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, table := range cfg.Source.Tables {
		if err := bringUp(ctx, report.cmd, db, wanted(cfg, table, variant)); err != nil {
			return err
		}
	}
	if err := verifyTables(ctx, reader); err != nil {
		return err
	}
	rc := relayConfig(cfg, nc, reader, log)
	rc.Manage = true
	return initStream(ctx, report, rc)
}

// patiently connects until it succeeds, until a time, or until the server itself
// answers with an error, which waiting won't mend.
func patiently[C any](ctx context.Context, until time.Time, connect func() (C, error)) (C, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := connect()
		if err == nil || time.Now().After(until) || serverCode(err) != 0 || errors.Is(err, nats.ErrAuthorization) || tlsfault.Is(err) {
			return c, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c, err
		}
	}
}

// openDatabase connects for statements. A silent server is no error, as one that
// changes a large table is silent for long: the context ends what takes too long.
func openDatabase(ctx context.Context, cfg config.Config) (*sql.DB, error) {
	d := cfg.Database
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName, c.TLS = d.Net, d.Addr, d.User, string(d.Password), d.Name, d.TLS
	err := c.Apply(mysql.BeforeConnect(func(_ context.Context, c *mysql.Config) error { return renew(d, c) }))
	if err != nil {
		return nil, err
	}
	c.Timeout = askTimeout
	c.Logger = &mysql.NopLogger{} // what it logs it returns too
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, advise(fmt.Errorf("connect to the source at %s as %q: %w", d.Addr, d.User, described(err)), databaseNextStep(err))
	}
	return db, nil
}

// renew is asked before each connection.
func renew(d config.Database, c *mysql.Config) error {
	login, err := d.Renew()
	c.User, c.Passwd, c.TLS = login.User, string(login.Password), login.TLS
	return err
}

// Errors of the server that have a next step.
const (
	errUnknownDatabase = 1049
	errAccessDenied    = 1045
	errDatabaseDenied  = 1044
	errTableDenied     = 1142
	errLockWaitTimeout = 1205
)

func databaseNextStep(err error) string {
	if tlsfault.Is(err) {
		return tlsNextStep(err, sourceTLSKeys)
	}
	switch serverCode(err) {
	case errUnknownDatabase:
		return "create the database, or correct it in source.dsn"
	case errAccessDenied:
		return "check user and password"
	case errDatabaseDenied, errTableDenied:
		return "grant the account what binjet schema up --help names, or have somebody who may run: binjet schema print | mysql"
	case 0:
		return nextSourceAddress
	}
	return "see the error"
}

func serverCode(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// verifyTables lets the reader judge the tables, mapped columns included.
func verifyTables(ctx context.Context, reader *binlog.Reader) error {
	findings, err := reader.Check(ctx)
	if err != nil {
		return sourceError(findings, err)
	}
	var faults []string
	for _, f := range findings {
		if !f.OK && (strings.HasPrefix(f.Name, "table ") || strings.HasPrefix(f.Name, "column ")) {
			faults = append(faults, f.String())
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New("an outbox table can't be used as it is:\n  - " + strings.Join(faults, "\n  - "))
}

// initStream creates the stream and the bucket by what the relay does when it starts.
func initStream(ctx context.Context, report *initReport, rc relay.Config) error {
	r, err := relay.New(rc)
	if err != nil {
		return err
	}
	before, err := r.Inspect(ctx)
	if err != nil {
		return natsError(rc.Conn, err)
	}
	if err := r.Prepare(ctx); err != nil {
		return natsError(rc.Conn, err)
	}
	if err := report.done("stream", rc.Stream, madeOr(before.StreamExists)); err != nil {
		return err
	}
	if rc.OnInvalid == relay.Quarantine {
		if err := report.done("stream", deadletter.Stream(rc.Stream), madeOr(before.DeadLettersExist)); err != nil {
			return err
		}
	}
	return report.done("bucket", binjet.CheckpointBucket, madeOr(before.BucketExists))
}

func madeOr(existed bool) string {
	if existed {
		return "exists"
	}
	return "created"
}

// initReport says what was made, as it happens: a later step may fail.
type initReport struct{ cmd *cobra.Command }

func (r *initReport) done(kind, name, what string) error {
	return emitLine(r.cmd, initStep{kind, name, what}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%-7s %-28s %s\n", kind, name, what)
		return err
	})
}

// initStep is one thing that init made, or found.
type initStep struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Result string `json:"result"` // created, changed or exists; of schema down: dropped or absent
}
