package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// launcher starts and signals a server: a program of this machine, a container, or
// what a Launcher runs.
type launcher interface {
	fmt.Stringer
	// prepare makes the data directory unless it is there.
	prepare(ctx context.Context, dir string) error
	// launch starts what lives as long as the server does.
	launch(ctx context.Context, port int, args []string, log *os.File) (*child, error)
	pid(c *child) int
	terminate(ctx context.Context, c *child) error
	kill(ctx context.Context, c *child) error
	pause(ctx context.Context, c *child) error
	resume(ctx context.Context, c *child) error
	// remove tidies up what is not in the directory.
	remove(ctx context.Context) error
}

// Attempt is one way of getting a server, and why it gave none.
type Attempt struct {
	Source Source
	Err    error
}

// UnavailableError says that no way gave a server, and for each why.
type UnavailableError struct {
	Flavor  Flavor
	Version string // as asked for; "" is any
	Tried   []Attempt
}

// Error lists what was tried and what can be done.
func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no %v server could be had. Tried:\n", strings.TrimSpace(e.Flavor.String()+" "+e.Version))
	for _, a := range e.Tried {
		fmt.Fprintf(&b, "  %s: %s\n", a.Source, strings.ReplaceAll(a.Err.Error(), "\n", "\n    "))
	}
	v, image := e.Flavor.vars()
	fmt.Fprintf(&b, "Do one of these: install %s (the package is called %s on most systems); set %s to a server program",
		e.Flavor, e.Flavor.packageName(), v)
	if image != "" {
		fmt.Fprintf(&b, "; start Docker and `docker pull %s`, or name a local image in %s", e.Flavor.images(e.Version)[0], image)
	}
	b.WriteString(".")
	return b.String()
}

// Unwrap gives the reasons, so that errors.Is finds a cancelled context.
func (e *UnavailableError) Unwrap() []error {
	errs := make([]error, len(e.Tried))
	for i, a := range e.Tried {
		errs[i] = a.Err
	}
	return errs
}

// name is the flavour in the names of files.
func (f Flavor) name() string { return string(f) }

// vars are the environment variables for a program and for an image.
func (f Flavor) vars() (program, image string) {
	switch f {
	case MariaDB:
		return "BINJET_TEST_MARIADBD", "BINJET_MARIADB_IMAGE"
	case PostgreSQL:
		return "BINJET_TEST_POSTGRES", "" // no container
	}
	return "BINJET_TEST_MYSQLD", "BINJET_MYSQL_IMAGE"
}

func (f Flavor) packageName() string {
	if f == PostgreSQL {
		return f.name()
	}
	return f.name() + "-server"
}

// programs are the names a server program may have. MariaDB's packages also
// make a mysqld, so only its version tells.
func (f Flavor) programs() []string {
	switch f {
	case MariaDB:
		return []string{"mariadbd", "mysqld"}
	case PostgreSQL:
		return []string{"postgres"}
	}
	return []string{"mysqld"}
}

// programDirs are where a system keeps server programs beside PATH.
func (f Flavor) programDirs() ([]string, error) {
	if f != PostgreSQL {
		return []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"}, nil
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's and Ubuntu's, one for each version
	slices.Reverse(dirs)
	return append(dirs, "/usr/local/pgsql/bin"), err
}

// extra is a file of the server's that lies in another package than its program, with
// the names of that package: the first that exists is taken.
type extra struct{ file, packages string }

// extras are a storage engine, and the program that prints binlogs.
func (f Flavor) extras() []extra {
	if f != MariaDB {
		return nil
	}
	return []extra{ // where there are both packages, the second is empty
		{"usr/lib/mysql/plugin/ha_blackhole.so", "mariadb-server-10.6,mariadb-server"},
		{"usr/bin/mariadb-binlog", "mariadb-client-10.6,mariadb-client"},
	}
}

// find tries each source in turn.
func find(ctx context.Context, o Options, getenv func(string) string) (launcher, error) {
	if o.Launcher != nil {
		return &external{opts: o}, nil
	}
	fail := &UnavailableError{Flavor: o.Flavor, Version: o.Version}
	for _, source := range o.Sources {
		l, err := source.find(ctx, o, getenv)
		if err == nil {
			o.Log.DebugContext(ctx, "found a database server", "source", source, "server", l.String())
			return l, nil
		}
		fail.Tried = append(fail.Tried, Attempt{source, err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fail
}

// find gets a server in this one way.
func (s Source) find(ctx context.Context, o Options, getenv func(string) string) (launcher, error) {
	switch s {
	case SourceEnv:
		return fromEnv(ctx, o, getenv)
	case SourceSystem:
		return fromSystem(ctx, o, getenv)
	case SourceCache:
		return fromCache(ctx, o, getenv)
	case SourceDocker:
		return fromDocker(ctx, o, getenv)
	}
	return fromMirror(ctx, o, getenv)
}

func fromEnv(ctx context.Context, o Options, getenv func(string) string) (launcher, error) {
	name, _ := o.Flavor.vars()
	if getenv(name) == "" {
		return nil, fmt.Errorf("%s is not set", name)
	}
	program, err := exec.LookPath(getenv(name))
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	h, err := newHost(ctx, o, program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return h, nil
}

func fromSystem(ctx context.Context, o Options, getenv func(string) string) (launcher, error) {
	more, err := o.Flavor.programDirs()
	if err != nil {
		return nil, err
	}
	dirs := append(filepath.SplitList(getenv("PATH")), more...)
	var found []string
	for _, name := range o.Flavor.programs() {
		for _, dir := range dirs {
			if path := filepath.Join(dir, name); isProgram(path) && !slices.Contains(found, path) {
				found = append(found, path)
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no %s on PATH or in %s", strings.Join(o.Flavor.programs(), " or "), more[0])
	}
	return firstHost(ctx, o, found)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// firstHost gives the first program that will do.
func firstHost(ctx context.Context, o Options, programs []string) (launcher, error) {
	var errs []error
	for _, p := range programs {
		h, err := newHost(ctx, o, p)
		if err == nil {
			return h, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func fromCache(ctx context.Context, o Options, _ func(string) string) (launcher, error) {
	programs, err := cachedPrograms(o)
	if err != nil {
		return nil, err
	}
	if len(programs) == 0 {
		return nil, fmt.Errorf("no %s in %s", strings.TrimSpace(o.Flavor.String()+" "+o.Version), o.CacheDir)
	}
	return firstHost(ctx, o, programs)
}

// cachedPrograms are the fetched servers of a matching version, newest first.
// A finished tree has a file .complete with what the program prints as its
// version, and the flavour's plugins, which older versions of this package left out.
func cachedPrograms(o Options) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(o.CacheDir, o.Flavor.name()+"-*", ".complete"))
	if err != nil {
		return nil, err
	}
	type tree struct {
		program string
		version version
	}
	var trees []tree
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if !hasExtras(filepath.Dir(file), o.Flavor) {
			continue
		}
		if b, err := parseBuild(string(text)); err == nil && b.check(o) == nil {
			trees = append(trees, tree{filepath.Join(filepath.Dir(file), "bin", o.Flavor.programs()[0]), b.version})
		}
	}
	slices.SortFunc(trees, func(a, b tree) int { return slices.Compare(b.version, a.version) })
	programs := make([]string, len(trees))
	for i, t := range trees {
		programs[i] = t.program
	}
	return programs, nil
}

func hasExtras(tree string, f Flavor) bool {
	return !slices.ContainsFunc(f.extras(), func(e extra) bool {
		_, err := os.Stat(filepath.Join(tree, "root", e.file))
		return err != nil
	})
}
