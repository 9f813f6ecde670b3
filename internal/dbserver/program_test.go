package dbserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// addTool puts a tool beside the cached server of that version.
func addTool(t *testing.T, cache, v string) string {
	t.Helper()
	return install(t, filepath.Join(cache, "mysql-"+v, "bin"), "mysqlbinlog", nil)
}

// TestProgramOfContainer: official images lack the tool, so it comes from what Start
// would find on this machine.
func TestProgramOfContainer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	o := fakeOptions(t, MySQL, "9.7.4")
	want := addTool(t, o.CacheDir, "9.7.4")
	o.Launcher = &fakeLauncher{} // its servers are 8.4.3
	s, err := Start(t.Context(), o)
	must(t, err)
	defer func() { must(t, s.Stop(t.Context())); must(t, s.Close()) }()
	got, err := s.Program(t.Context(), "mysqlbinlog")
	must(t, err)
	if got != want {
		t.Errorf("Program = %s, want %s", got, want)
	}
	path := t.TempDir()
	t.Setenv("PATH", path)
	for _, c := range []struct{ version, want string }{
		{"8.0.45", want},         // older
		{"11.8.9-MariaDB", want}, // MariaDB's packages have this name too
		{"3.5", want},            // so had old ones, without a word of MariaDB
		{"8.4.1", filepath.Join(path, "mysqlbinlog")}, // of the same series
		{"9.0.1", filepath.Join(path, "mysqlbinlog")},
	} {
		tool := install(t, path, "mysqlbinlog", map[string]string{"version": c.version})
		if got, err := s.Program(t.Context(), "mysqlbinlog"); err != nil || got != c.want {
			t.Errorf("with %s on the PATH: %s, %v, want %s", c.version, got, err, c.want)
		}
		must(t, os.Remove(tool))
	}
}

// TestProgramOlder: an older tool is better than none, and one of this machine's own
// servers better than any other. A server without the tool is passed over.
func TestProgramOlder(t *testing.T) {
	path := t.TempDir()
	t.Setenv("PATH", path) // nor is there a shell, so nothing can be fetched
	o := fakeOptions(t, MySQL, "9.7.4")
	server := version{9, 8, 1}
	o, err := o.withDefaults()
	must(t, err)
	_, err = findTool(t.Context(), o, "mysqlbinlog", server)
	if err == nil {
		t.Fatal("found a tool that is nowhere")
	}
	for _, part := range []string{
		"no mysqlbinlog for MySQL 9.8.1", "that of MySQL 9.8 or later on the PATH", "set BINJET_TEST_MYSQLD",
		"  PATH: ", "  environment: ", "  system: ", "  cache: ", "  package mirror: ", "mysqlbinlog is not beside " + o.CacheDir,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
	onPath := install(t, path, "mysqlbinlog", map[string]string{"version": "9.6.0"})
	got, err := findTool(t.Context(), o, "mysqlbinlog", server)
	if err != nil || got != onPath {
		t.Errorf("an older one on the PATH: %s, %v", got, err)
	}
	want := addTool(t, o.CacheDir, "9.7.4")
	if got, err := findTool(t.Context(), o, "mysqlbinlog", server); err != nil || got != want {
		t.Errorf("older ones: %s, %v, want %s", got, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := findTool(ctx, o, "mysqlbinlog", server); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestParseTool(t *testing.T) {
	for out, want := range map[string]string{
		"/usr/bin/mysqlbinlog  Ver 9.7.4-2 for Linux on x86_64 ((Debian))\n":                             "MySQL 9.7.4",
		"/usr/bin/mariadb-binlog from 11.8.9-MariaDB, client 3.5 for debian-linux-gnu (x86_64)\n":        "MariaDB 11.8.9",
		"mysqldump  Ver 10.19 Distrib 10.11.18-MariaDB, for debian-linux-gnu (x86_64)\n":                 "MariaDB 10.11.18",
		"mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)\n":                                      "MySQL 5.7.44",
		"/usr/bin/mariadb-binlog Ver 3.5 for debian-linux-gnu at x86_64\n":                               "",
		"mysql_secure_installation: [ERROR] unknown option '--version'.\nEnter password for user root: ": "",
	} {
		got := ""
		if b, err := parseTool(out); err == nil {
			got = b.flavor.String() + " " + b.version.String()
		}
		if got != want {
			t.Errorf("parseTool(%q) = %q, want %q", out, got, want)
		}
	}
}
