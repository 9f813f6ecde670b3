//go:build !nodev

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/dev"
	"github.com/binjet/binjet/cmd/binjet/internal/logging"
	"github.com/binjet/binjet/internal/dbserver"
)

// devOptions are the flags of binjet dev.
type devOptions struct {
	dir, dsn, database, listen, level string
	tables                            []string
	natsPort, databasePort            int
	fresh                             bool
}

func newDev(p process) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run all that development needs: a database, NATS, the streamer, the dashboard",
		Long: `Run all that development on a laptop needs, until Ctrl-C: a throw-away MySQL or MariaDB,
a NATS server with JetStream, the streamer and the dashboard, with the outbox table
and the stream made. The connection strings are printed, and stay the same.

The data lies in --dir and stays; --fresh throws it away first. The directory also gets
a binjet.yaml, so that every other command works on it: binjet -c .binjet/binjet.yaml status.

The database is the first of these that there is: the program that BINJET_TEST_MYSQLD
(BINJET_TEST_MARIADBD) names, one on the PATH, or one from the package mirror of
this Debian or Ubuntu machine, which is fetched once and needs no root. With --dsn it
is a server that you have: its account needs what binjet check asks for.

Neither the environment nor a binjet.yaml of yours is read, so that no production
database is meant by mistake. Nothing of this is for production.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			log := logging.New(p.stderr, o.level, logging.Auto)
			err := untilSignal(cmd.Context(), log, func(ctx context.Context) error { return develop(ctx, cmd, p, o, log) })
			return stopped(log, err)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.dir, "dir", ".binjet", "directory of the data")
	f.BoolVar(&o.fresh, "fresh", false, "throw the data of the last time away first")
	f.StringVar(&o.database, "database", "", "mysql or mariadb (default: that of the last time, and mysql at first)")
	f.StringVar(&o.dsn, "dsn", "", "a server that you have, user:password@tcp(host:3306)/database, in place of a throw-away one")
	f.StringSliceVar(&o.tables, "tables", []string{"outbox"}, "outbox tables")
	f.StringVar(&o.listen, "http-listen", "127.0.0.1:9188", "address of the dashboard")
	f.IntVar(&o.natsPort, "nats-port", 0, "port of NATS (default: that of the last time, and 4222 at first, or a free one)")
	f.IntVar(&o.databasePort, "database-port", 0, "port of the throw-away database (default: that of the last time, and a free one at first)")
	f.StringVar(&o.level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (o *devOptions) check() error {
	switch {
	case o.database != "" && o.database != string(dbserver.MySQL) && o.database != string(dbserver.MariaDB):
		return fmt.Errorf("--database %q is neither mysql nor mariadb", o.database)
	case o.dsn != "" && (o.database != "" || o.databasePort != 0):
		return errors.New("--dsn is a server that you have: leave --database and --database-port out")
	}
	return nil
}

// devReport is how to connect.
type devReport struct {
	Directory    string `json:"directory"`
	Config       string `json:"config"`
	DSN          string `json:"dsn"`
	NATSURL      string `json:"nats_url"`
	DashboardURL string `json:"dashboard_url,omitempty"`
	Database     string `json:"database"`

	client string // a command line, for people
}

// develop starts everything, the streamer last, and ends it in the opposite order.
func develop(ctx context.Context, cmd *cobra.Command, p process, o devOptions, log *slog.Logger) (err error) {
	home, err := dev.Open(o.dir, o.fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	broker, err := dev.StartBroker(home, o.natsPort, log)
	if err != nil {
		return err
	}
	defer broker.Close()
	report := devReport{Directory: home.Dir, DSN: o.dsn, NATSURL: broker.URL(), Database: "yours"}
	if o.dsn == "" {
		db, err := dev.StartDatabase(ctx, home, dbserver.Flavor(o.database), o.databasePort, log)
		if err != nil {
			return err
		}
		defer func() {
			if closeErr := db.Close(); closeErr != nil {
				log.Warn("the database did not stop cleanly", "error", closeErr)
			}
		}()
		report.DSN, report.Database, report.client = db.DSN(), db.About(), clientLine(db.Addr())
		guarded, cancel := db.Guard(ctx)
		defer cancel()
		return devCause(guarded, developOn(guarded, cmd, p, o, home, report, log))
	}
	return developOn(ctx, cmd, p, o, home, report, log)
}

// devCause is why everything ended, where that was the database.
func devCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

func clientLine(addr string) string {
	host, port, _ := strings.Cut(addr, ":")
	return fmt.Sprintf("mysql -h %s -P %s -u root %s", host, port, dev.Schema)
}

// developOn makes the table and the stream, says how to connect, and runs the streamer.
func developOn(ctx context.Context, cmd *cobra.Command, p process, o devOptions, home *dev.Home, report devReport, log *slog.Logger) error {
	if err := home.Save(); err != nil {
		return err
	}
	text, err := devConfig(o, report)
	if err != nil {
		return err
	}
	if report.Config, err = home.Configure(text); err != nil {
		return err
	}
	cfg, err := config.Load(config.Input{File: report.Config})
	if err != nil {
		return err
	}
	// The command itself, so that a table of an older version is brought up as it does.
	made := process{args: []string{"init", "-c", report.Config}, stdout: io.Discard, stderr: p.stderr}
	if code := execute(made); code != exitOK {
		return errors.New("the table and the stream could not be made, as said above")
	}
	return runAnnounced(ctx, cfg, log, neverReload, func(url string) error {
		report.DashboardURL = url
		return emit(cmd, report, report.text)
	})
}

func (r devReport) text(w io.Writer) error {
	rows := [][2]string{{"database", r.Database}, {"DSN", r.DSN}, {"SQL client", r.client}, {"NATS", r.NATSURL},
		{"dashboard", r.DashboardURL}, {"commands", "binjet -c " + r.Config + " status"}, {"data", r.Directory + ", kept until --fresh"}}
	var b strings.Builder
	b.WriteString("\nbinjet dev is up; Ctrl-C ends it\n\n")
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(&b, "  %-10s  %s\n", row[0], row[1])
		}
	}
	_, err := io.WriteString(w, b.String()+"\n")
	return err
}

// devConfig is the configuration of all that runs.
func devConfig(o devOptions, r devReport) (string, error) {
	text, err := yaml.Marshal(yaml.MapSlice{
		{Key: "source", Value: yaml.MapSlice{{Key: "dsn", Value: r.DSN}, {Key: "tables", Value: o.tables}}},
		{Key: "nats", Value: yaml.MapSlice{{Key: "url", Value: r.NATSURL}}},
		{Key: "http", Value: yaml.MapSlice{{Key: "listen", Value: o.listen}}},
		{Key: "log", Value: yaml.MapSlice{{Key: "level", Value: o.level}}},
	})
	return "# Written by binjet dev at each start.\n" + string(text), err
}
