package dbserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// startTimeout ends a start whose context never ends.
const startTimeout = 2 * time.Minute

// Server is a database server that this process runs. Its methods may be called
// from any goroutine.
type Server struct {
	opts   Options
	run    launcher
	dir    string
	ownDir bool
	host   string // of a given server; "" is this machine
	port   int
	login  string // of a given server; "" is root without a password

	ops sync.Mutex // one Start, Restart or Close at a time

	mu      sync.Mutex
	child   *child // of the last start; nil before
	version string
	closed  bool
}

// Start gets a server and runs it, and returns once it accepts connections. ctx
// bounds the start only; the server runs until [Server.Close] or the end of this
// process. The error is an [UnavailableError] when there is no server to be had.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	run, err := find(ctx, o, os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("dbserver: %w", err)
	}
	s := &Server{opts: o, run: run}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("dbserver: start %s: %w", run, errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	if err := s.makeDir(); err != nil {
		return err
	}
	if err := s.run.prepare(ctx, s.dir); err != nil {
		return err
	}
	s.ops.Lock()
	defer s.ops.Unlock()
	if s.port = s.opts.Port; s.port != 0 {
		return s.launch(ctx, nil)
	}
	var err error
	for range 3 { // another process may take the port that was free just now
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.launch(ctx, nil); err == nil || checkPort(s.port) == nil {
			return err
		}
	}
	return err
}

func (s *Server) makeDir() (err error) {
	if s.opts.Dir == "" {
		s.dir, err = os.MkdirTemp("", "binjet-"+s.opts.Flavor.name()+"-")
		s.ownDir = err == nil
		return err
	}
	if s.dir, err = filepath.Abs(s.opts.Dir); err != nil {
		return err
	}
	return os.MkdirAll(s.dir, 0o755)
}

// launch starts the process and waits until it greets; the caller holds ops.
func (s *Server) launch(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no greeting within %v", startTimeout))
	defer cancel()
	if err := checkPort(s.port); err != nil {
		return err
	}
	log, err := os.OpenFile(s.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return err
	}
	begun := time.Now()
	c, err := s.run.launch(ctx, s.port, slices.Concat(serverArgs(s.opts), s.opts.Args, args), log)
	if err != nil {
		return err
	}
	v, err := waitReady(ctx, s.opts.Flavor.greeting(), s.Addr(), c.done)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: its log %s ends with:\n%s", err, s.LogFile(), logTail(s.LogFile(), info.Size())), s.killChild(c))
	}
	s.setRunning(c, v)
	s.opts.Log.DebugContext(ctx, "database server is ready", "server", s.run.String(), "version", v,
		"addr", s.Addr(), "dir", s.dir, "took", time.Since(begun))
	return nil
}

func (s *Server) setRunning(c *child, greeting string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.child, s.version = c, greeting
	if v, err := parseVersion(greeting); err == nil {
		s.version = v.String()
	}
}

func (s *Server) current() *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child
}

// Addr is the TCP address, which a restart keeps.
func (s *Server) Addr() string {
	return net.JoinHostPort(cmp.Or(s.host, "127.0.0.1"), strconv.Itoa(s.port))
}

// DSN is for github.com/go-sql-driver/mysql: root, without a password (of a given server:
// the account that it was given with), and db
// as the default database ("" for none). For PostgreSQL it is a URL, for pgx and
// lib/pq alike: the superuser postgres, and the database db ("" for postgres).
func (s *Server) DSN(db string) string {
	if s.opts.Flavor == PostgreSQL {
		return "postgres://postgres@" + s.Addr() + "/" + cmp.Or(db, "postgres") + "?sslmode=disable"
	}
	return cmp.Or(s.login, "root") + "@tcp(" + s.Addr() + ")/" + db
}

// Dir has the error log and, unless the server is in a container, the data
// directory "data".
func (s *Server) Dir() string { return s.dir }

// LogFile is the server's error log; a restart adds to it.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "err.log") }

// Flavor is MySQL, MariaDB or PostgreSQL.
func (s *Server) Flavor() Flavor { return s.opts.Flavor }

// Version is the version in numbers: "9.7.4".
func (s *Server) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// Pid is the process ID of the server that was started last, and 0 when it is
// in a container.
func (s *Server) Pid() int { return s.run.pid(s.current()) }

// Done is closed when the server that was started last has ended, for whatever
// reason.
func (s *Server) Done() <-chan struct{} { return s.current().done }

// logTail is the end of a log behind an offset, for an error.
func logTail(path string, from int64) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if tail := lastLines(string(text[min(from, int64(len(text))):]), 20); tail != "" {
		return tail
	}
	return "(nothing)"
}
