package dbserver

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Flavor is the kind of server.
type Flavor string

// The flavours. PostgreSQL is no source of events: it is here for the inbox of a
// consumer.
const (
	MySQL      Flavor = "mysql"
	MariaDB    Flavor = "mariadb"
	PostgreSQL Flavor = "postgresql"
)

// String is the product's own spelling of its name.
func (f Flavor) String() string {
	switch f {
	case MariaDB:
		return "MariaDB"
	case PostgreSQL:
		return "PostgreSQL"
	}
	return "MySQL"
}

// Source is a way of getting a server; the package comment has their order.
type Source string

// The ways of getting a server.
const (
	SourceEnv    Source = "environment"
	SourceSystem Source = "system"
	SourceCache  Source = "cache"
	SourceDocker Source = "docker"
	SourceFetch  Source = "package mirror"
)

func allSources() []Source {
	return []Source{SourceEnv, SourceSystem, SourceCache, SourceDocker, SourceFetch}
}

// Options says what server to start. The zero value is any MySQL, on a free
// port, in a directory of its own that [Server.Close] removes.
type Options struct {
	// Flavor is MySQL, MariaDB or PostgreSQL. Default: MySQL.
	Flavor Flavor

	// Version is a version or the beginning of one, by whole numbers: "9", "9.7",
	// "10.11". Default: any version that binjet supports.
	Version string

	// Dir holds the data directory and the error log. It is made when absent; data
	// that is there already is used as it is, and Close leaves the directory alone.
	// A container keeps its data in a volume, so with Dir the Docker way is left out.
	// Default: a new temporary directory, which Close removes.
	Dir string

	// Port is the TCP port on 127.0.0.1. Default: a free one, outside of the range
	// from which the system picks ports for connections, so that no connection can
	// take it while the server is down.
	Port int

	// Args are more server options, behind (so that they win over) the usual ones:
	// "--server-id=2", "--max-binlog-size=4096"; for PostgreSQL "-c", "max_connections=10".
	Args []string

	// Durable makes every commit reach the disk (sync_binlog=1,
	// innodb_flush_log_at_trx_commit=1; fsync=on). Without it a commit survives the death of
	// the server process, but not that of the machine. Default: false, as it is slow.
	Durable bool

	// Sources are the ways to try, in this order. Default: all of them, in the
	// order of the package comment.
	Sources []Source

	// Launcher runs the server in place of Sources, and has the data directory in
	// [Server.Dir] as all ways but Docker do. Default: none.
	Launcher Launcher

	// CacheDir holds fetched servers and data directory templates. It may be shared
	// by any number of processes. Default: ${XDG_CACHE_HOME:-$HOME/.cache}/binjet.
	CacheDir string

	// Progress is told what takes long, one line at a time, such as the first
	// download of a server. It may be called from another goroutine, but only while
	// Start or [Server.Program] runs. Default: nobody is told.
	Progress func(line string)

	// Log gets what is of use to somebody who debugs. Default: nothing is logged.
	Log *slog.Logger

	atLeast version // older series are of no use; nil: none is too old
}

func (o Options) withDefaults() (Options, error) {
	if o.Flavor == "" {
		o.Flavor = MySQL
	}
	if len(o.Sources) == 0 {
		o.Sources = allSources()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := o.validate(); err != nil {
		return o, err
	}
	if o.CacheDir == "" {
		dir, err := o.Flavor.cacheDir(os.Getenv)
		if err != nil {
			return o, err
		}
		o.CacheDir = dir
	}
	var err error
	o.CacheDir, err = filepath.Abs(o.CacheDir) // servers run in other directories
	return o, err
}

func (o Options) validate() error {
	if o.Flavor != MySQL && o.Flavor != MariaDB && o.Flavor != PostgreSQL {
		return fmt.Errorf("dbserver: unknown flavour %q: use dbserver.MySQL, dbserver.MariaDB or dbserver.PostgreSQL", string(o.Flavor))
	}
	if o.Version != "" {
		if _, err := parseVersion(o.Version); err != nil {
			return fmt.Errorf("dbserver: version %q: use numbers such as \"9.7\": %w", o.Version, err)
		}
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("dbserver: port %d: use 1 to 65535, or 0 for a free one", o.Port)
	}
	for _, s := range o.Sources {
		if !slices.Contains(allSources(), s) {
			return fmt.Errorf("dbserver: unknown source %q: use the Source constants", string(s))
		}
	}
	if runtime.GOOS == "windows" {
		return errors.New("dbserver: cannot run a server on Windows: use WSL, or give the DSN of a server that runs already")
	}
	return nil
}

// defaultCacheDir follows the XDG rules on every system, because the scripts
// and the documentation name one place.
func defaultCacheDir(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "binjet"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("dbserver: no cache directory: set HOME, XDG_CACHE_HOME or Options.CacheDir")
	}
	return filepath.Join(home, ".cache", "binjet"), nil
}
