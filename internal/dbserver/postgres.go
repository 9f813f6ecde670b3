package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// postgres runs a PostgreSQL program of this machine: a process that makes one
// more for each connection, so it is signalled as a family.
type postgres struct{ *host }

// initPostgres makes a data directory with small log files, for an empty one is
// mostly log, and no passwords.
func (h *host) initPostgres(ctx context.Context, dir string) error {
	program, err := filepath.EvalSymlinks(h.program)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := ownerOf(PostgreSQL).own(data); err != nil {
		return err
	}
	initdb := &host{program: filepath.Join(filepath.Dir(program), "initdb"), opts: h.opts}
	return initdb.runInit(ctx, dir, []string{"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync", "--wal-segsize=1"}, nil)
}

func postgresArgs(o Options) []string {
	args := []string{
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "shared_buffers=32MB", "-c", "min_wal_size=2MB", "-c", "max_wal_size=64MB", "-c", "jit=off",
		"-c", "max_connections=200",
	}
	if o.Durable {
		return args
	}
	// The log still reaches the operating system at every commit.
	return append(args, "-c", "fsync=off")
}

func (p *postgres) prepare(ctx context.Context, dir string) error {
	if err := p.host.prepare(ctx, dir); err != nil {
		return err
	}
	return ownerOf(PostgreSQL).own(dir)
}

func (p *postgres) launch(_ context.Context, port int, args []string, log *os.File) (*child, error) {
	cmd, err := p.command(port, args)
	if err != nil {
		return nil, err
	}
	return startLogged(cmd, log)
}

// command removes the file by which a server finds out that another one is on
// the same data: the one before has ended, and its process ID may be another's.
func (p *postgres) command(port int, args []string) (*exec.Cmd, error) {
	data := filepath.Join(p.dir, "data")
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	cmd := exec.Command(p.program, append([]string{"-D", data, "-p", strconv.Itoa(port)}, args...)...)
	cmd.Dir = p.dir
	ownerOf(PostgreSQL).run(cmd)
	return cmd, nil
}

// terminate asks for what PostgreSQL calls a fast shutdown: a polite one waits
// until every client has gone.
func (p *postgres) terminate(_ context.Context, c *child) error {
	return errors.Join(interrupt(c), thawTree(c))
}

func (p *postgres) kill(ctx context.Context, c *child) error { return killTree(ctx, c) }

func (p *postgres) pause(ctx context.Context, c *child) error { return freezeTree(ctx, c) }

func (p *postgres) resume(_ context.Context, c *child) error { return thawTree(c) }

func (p *postgres) String() string {
	if a := ownerOf(PostgreSQL); a.other {
		return fmt.Sprintf("%s (as user %d)", p.program, a.uid)
	}
	return p.program
}
