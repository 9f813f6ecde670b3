package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// Program is the path of one of the server's own tools, such as mysqlbinlog: the one
// beside the server program, or else the one on the PATH.
//
// A server in a container, or a given one, has no program on this machine, and official
// images lack some tools. For these it is the first of
//
//   - the one on the PATH, if it is of the server's flavour and not older than the server;
//   - the one beside a server program that [Start] would find or fetch, if that is not older;
//   - the same, if it is older, and last an older one on the PATH.
//
// Nothing is fetched while the cache has one that is not older. A newer tool reads an
// older log, as a newer server has to, after an upgrade and as a replica: a log begins
// with the format of its events, and new kinds of events leave the old ones as they were.
// An older tool may meet a kind that it does not know. Only the first two numbers of a
// version count, since a series keeps its format. ctx bounds the search and the download.
func (s *Server) Program(ctx context.Context, name string) (string, error) {
	if run, ok := s.run.(neighbour); ok {
		path, err := run.beside(name)
		if err == nil {
			return path, nil
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		return "", fmt.Errorf("dbserver: %w, nor is it on the PATH: install the package that has it", err)
	}
	o, err := s.opts.withDefaults() // a given server has none yet
	if err != nil {
		return "", err
	}
	server, err := parseVersion(s.Version())
	if err != nil {
		return "", fmt.Errorf("dbserver: find %s: the server's version %q: %w", name, s.Version(), err)
	}
	path, err := findTool(ctx, o, name, server)
	if err == nil {
		o.Log.DebugContext(ctx, "found a tool of the server's", "path", path, "server", server.String())
	}
	return path, err
}

// neighbour is a server program of this machine, which has its tools beside it.
type neighbour interface {
	beside(name string) (string, error)
}

func (h *host) beside(name string) (string, error) {
	path := filepath.Join(filepath.Dir(h.program), name)
	if !isProgram(path) {
		return "", fmt.Errorf("%s is not beside %s", name, h.program)
	}
	return path, nil
}

// findTool looks for a tool of a server whose program is not on this machine.
func findTool(ctx context.Context, o Options, name string, server version) (string, error) {
	path, older, err := toolOnPath(ctx, o.Flavor, name, server)
	if err == nil {
		return path, nil
	}
	tried := []error{fmt.Errorf("  PATH: %w", err)}
	for _, way := range toolWays(o, server) {
		found, err := toolBy(ctx, way, name)
		if err == nil {
			return found, nil
		}
		tried = append(tried, fmt.Errorf("  %s: %w", way.Sources[0], err))
		if ctx.Err() != nil {
			return "", errors.Join(fmt.Errorf("dbserver: find %s for %v %v", name, o.Flavor, server), errors.Join(tried...))
		}
	}
	if older {
		return path, nil
	}
	v, _ := o.Flavor.vars()
	return "", fmt.Errorf("dbserver: no %s for %v %v could be had. Put that of %v %s or later on the PATH, or set %s to a server program that has it beside it. Looked for:\n%w",
		name, o.Flavor, server, o.Flavor, server.series(), v, errors.Join(tried...))
}

// toolWays are the ways of getting a server program, those first that give one which is
// not older. The mirror is asked for the very series before anything is fetched: what it
// fetches and is too old would be fetched again each time.
func toolWays(o Options, server version) []Options {
	way := func(source Source, want string, atLeast version) Options {
		o := o
		o.Launcher, o.Sources, o.Version, o.atLeast = nil, []Source{source}, want, atLeast
		return o
	}
	return []Options{
		way(SourceEnv, "", server), way(SourceSystem, "", server), way(SourceCache, "", server),
		way(SourceFetch, server.series(), nil),
		way(SourceCache, "", nil), way(SourceFetch, "", nil),
	}
}

func toolBy(ctx context.Context, o Options, name string) (string, error) {
	l, err := o.Sources[0].find(ctx, o, os.Getenv)
	if err != nil {
		return "", err
	}
	run, ok := l.(neighbour)
	if !ok {
		return "", fmt.Errorf("%s has no tools on this machine", l)
	}
	return run.beside(name)
}

// toolOnPath gives the tool on the PATH, and an error unless it is of that flavour and
// not older than the server; older: it may be, and would do if there were nothing else.
func toolOnPath(ctx context.Context, f Flavor, name string, server version) (path string, older bool, err error) {
	if path, err = exec.LookPath(name); err != nil {
		return "", false, err
	}
	out, err := output(ctx, path, "--version")
	if err != nil {
		return "", false, fmt.Errorf("%s does not run: %w", path, err)
	}
	b, err := parseTool(out)
	switch {
	case err != nil:
		return path, true, fmt.Errorf("%s: %w", path, err)
	case b.flavor != f:
		return "", false, fmt.Errorf("%s is of %v, not of %v", path, b.flavor, f)
	case b.version.olderThan(server):
		return path, true, fmt.Errorf("%s is of %v %v, which is older", path, f, b.version)
	}
	return path, false, nil
}

// parseTool reads what a tool prints as its version. Old ones have numbers of their own
// in front of the server's, or no others:
//
//	mysqlbinlog  Ver 9.7.4-2 for Linux on x86_64 ((Debian))
//	mariadb-binlog from 11.8.9-MariaDB, client 3.5 for debian-linux-gnu (x86_64)
//	mysqldump  Ver 10.19 Distrib 10.11.18-MariaDB, for debian-linux-gnu (x86_64)
//	mariadb-binlog Ver 3.5 for debian-linux-gnu at x86_64
func parseTool(out string) (build, error) {
	if m := regexp.MustCompile(`\b(?:from|Distrib) (\d[^ ,\n]*)`).FindStringSubmatch(out); m != nil {
		out = "Ver " + m[1]
	}
	b, err := parseBuild(out)
	if err == nil && b.flavor == MySQL && b.version.olderThan(version{5}) {
		err = fmt.Errorf("%q does not tell the server's version", b.full)
	}
	return b, err
}
