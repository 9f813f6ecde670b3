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

// host runs a server program of this machine.
type host struct {
	program string
	build   build
	opts    Options
	dir     string // set by prepare
}

// newHost makes sure that the program runs here and is what was asked for. The
// template belongs to that: a program that cannot initialise a data directory
// (a package without its data files, a security profile that keeps it in
// /var/lib) is no good, and the next way may be.
func newHost(ctx context.Context, o Options, program string) (launcher, error) {
	ask := []string{"--no-defaults", "--version"}
	if o.Flavor == PostgreSQL {
		ask = ask[1:]
	}
	out, err := output(ctx, program, ask...)
	if err != nil {
		return nil, fmt.Errorf("%s does not run: %w", program, err)
	}
	b, err := parseBuild(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	if err := b.check(o); err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	h := &host{program: program, build: b, opts: o}
	if err := h.makeTemplate(ctx); err != nil {
		return nil, fmt.Errorf("%s cannot initialise a data directory: %w", program, err)
	}
	if o.Flavor == PostgreSQL {
		return &postgres{h}, nil
	}
	return h, nil
}

func (h *host) String() string { return h.program }

func (h *host) prepare(_ context.Context, dir string) error {
	h.dir = dir
	data := filepath.Join(dir, "data")
	if _, err := os.Stat(data); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := copyTree(filepath.Join(h.templateDir(), "data"), data); err != nil {
		return fmt.Errorf("copy the data directory's template: %w", errors.Join(err, os.RemoveAll(data)))
	}
	return nil
}

func (h *host) launch(_ context.Context, port int, args []string, log *os.File) (*child, error) {
	cmd, err := h.command(port, args)
	if err != nil {
		return nil, err
	}
	return startLogged(cmd, log)
}

// command has a relative socket name, because a socket's path is limited to
// some 100 bytes and Dir is not. Temporary files have a directory of this server's own:
// a MariaDB that starts removes every #sql file in it, those of others too.
func (h *host) command(port int, args []string) (*exec.Cmd, error) {
	for _, stale := range []string{"m.sock", "m.sock.lock"} {
		// The lock file has a process ID, which somebody else may have by now.
		if err := os.Remove(filepath.Join(h.dir, "data", stale)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	tmp := filepath.Join(h.dir, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return nil, err
	}
	all := append(h.first(),
		"--datadir="+filepath.Join(h.dir, "data"), "--tmpdir="+tmp, "--socket=m.sock",
		"--pid-file="+filepath.Join(h.dir, "server.pid"),
		"--skip-networking=0", "--bind-address=127.0.0.1", "--port="+strconv.Itoa(port))
	cmd := exec.Command(h.program, append(all, args...)...)
	cmd.Dir = h.dir
	return cmd, nil
}

// first are the options that come first: no file of this machine has a say, and
// root has to ask for being root.
func (h *host) first() []string {
	args := []string{"--no-defaults"}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	return args
}

func (h *host) pid(c *child) int { return c.cmd.Process.Pid }

func (h *host) terminate(_ context.Context, c *child) error { return c.terminate() }

func (h *host) kill(_ context.Context, c *child) error { return c.signal(os.Kill) }

func (h *host) pause(ctx context.Context, c *child) error { return c.freeze(ctx) }

func (h *host) resume(_ context.Context, c *child) error { return c.thaw() }

func (h *host) remove(context.Context) error { return nil }
