package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

// profileEnv names the file for a CPU profile, for a binjet that was built with the tag.
const (
	profileEnv = "BINJET_TEST_CPUPROFILE"
	profileTag = "binjet_profile"
)

// world is what all measurements share: one database server, and the command as users
// have it. Brokers come and go.
type world struct {
	opts     options
	dir      string
	bin      string
	srv      *dbserver.Server
	db       *sql.DB // no default database, many statements at once
	report   report
	progress *os.File
	terminal bool
	profiles int
	apart    halves // of the processors, with -apart
}

func newWorld(ctx context.Context, o options, progress *os.File) (w *world, err error) {
	w = &world{opts: o, progress: progress, terminal: isTerminal(progress)}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if o.apart {
		if w.apart, err = splitProcessors(); err != nil {
			return w, err
		}
	}
	if w.dir, err = os.MkdirTemp("", "binjet-bench-"); err != nil {
		return w, err
	}
	if err := w.build(ctx); err != nil {
		return w, err
	}
	if err := w.startDatabase(ctx); err != nil {
		return w, err
	}
	w.report.Machine = describe(w)
	return w, nil
}

// build makes the command as users have it, or with profiles.
func (w *world) build(ctx context.Context) error {
	w.bin = filepath.Join(w.dir, "binjet")
	args := []string{"build", "-o", w.bin}
	if w.opts.profile != "" {
		args = append(args, "-tags", profileTag)
		if err := os.MkdirAll(w.opts.profile, 0o755); err != nil {
			return err
		}
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "github.com/binjet/binjet/cmd/binjet")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build binjet: %w\n%s", err, out)
	}
	return nil
}

// profilePath is where the next binjet run writes its profile.
func (w *world) profilePath() string {
	if w.opts.profile == "" {
		return ""
	}
	w.profiles++
	return filepath.Join(w.opts.profile, fmt.Sprintf("%03d.pprof", w.profiles))
}

// startDatabase has room for backlogs in memory, so that the server is not what limits.
func (w *world) startDatabase(ctx context.Context) (err error) {
	args := []string{"--innodb-buffer-pool-size=512M", "--max-binlog-size=1G", "--max-allowed-packet=64M"}
	if w.mariadb() {
		args = append(args, "--innodb-log-file-size=512M")
	} else {
		args = append(args, "--loose-innodb-redo-log-capacity=1G")
	}
	o := dbserver.Options{Flavor: w.flavor(), Durable: w.opts.durable, Args: args, Progress: func(line string) { w.say("%s", line) }}
	if w.opts.apart { // a container has the processors of its daemon
		o.Sources = []dbserver.Source{dbserver.SourceEnv, dbserver.SourceSystem, dbserver.SourceCache, dbserver.SourceFetch}
	}
	w.srv, err = dbserver.Start(ctx, o)
	if err != nil {
		return err
	}
	w.db, err = sql.Open("mysql", w.srv.DSN("")+"?multiStatements=true&maxAllowedPacket=0")
	return err
}

func (w *world) flavor() dbserver.Flavor {
	if w.mariadb() {
		return dbserver.MariaDB
	}
	return dbserver.MySQL
}

func (w *world) mariadb() bool { return w.opts.server == "mariadb" }

func (w *world) close() {
	if w.db != nil {
		_ = w.db.Close()
	}
	if w.srv != nil {
		_ = w.srv.Close()
	}
	_ = os.RemoveAll(w.dir)
}

// say is a line of progress.
func (w *world) say(format string, args ...any) {
	w.endLine()
	fmt.Fprintf(w.progress, format+"\n", args...)
}

// saying shows how far something is, of total, in a line that is written over.
func (w *world) saying(what string, total int) func(done int) {
	w.say("%s", what)
	if !w.terminal {
		return func(int) {}
	}
	return func(done int) { fmt.Fprintf(w.progress, "\r\x1b[K  %d of %d", done, total) }
}

// endLine takes that line away.
func (w *world) endLine() {
	if w.terminal {
		fmt.Fprint(w.progress, "\r\x1b[K")
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// quiet is for libraries that log.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

var errStuck = errors.New("nothing more is published")

// patience is how long a drain may stand still.
const patience = time.Minute
