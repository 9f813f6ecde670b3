package dbserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindOrder(t *testing.T) {
	env := map[string]string{}
	getenv := func(k string) string { return env[k] }
	o := fakeOptions(t, MySQL, "9.7.4")
	o.Sources = []Source{SourceEnv, SourceSystem, SourceCache}
	o, err := o.withDefaults()
	must(t, err)
	want := func(part string) {
		t.Helper()
		l, err := find(t.Context(), o, getenv)
		must(t, err)
		if !strings.Contains(l.String(), part) {
			t.Errorf("found %s, want %s", l, part)
		}
	}
	broken, path, named := t.TempDir(), t.TempDir(), t.TempDir()
	install(t, broken, "mysqld", map[string]string{"version": "8.4.1", "broken": "yes"})
	env["PATH"] = broken
	want("mysql-9.7.4") // the system's own cannot initialise a data directory
	install(t, path, "mysqld", map[string]string{"version": "8.4.2"})
	env["PATH"] = broken + string(os.PathListSeparator) + path
	want(path)
	env["BINJET_TEST_MYSQLD"] = install(t, named, "mysqld", map[string]string{"version": "8.4.3"})
	want(named)
	o.Version = "9"
	want("mysql-9.7.4") // both are of another version
}

func TestUnavailableSaysWhy(t *testing.T) {
	env := map[string]string{"BINJET_TEST_MARIADBD": filepath.Join(t.TempDir(), "absent"), "PATH": t.TempDir()}
	install(t, env["PATH"], "mysqld", map[string]string{"version": "9.7.4"})
	o, err := Options{
		Flavor: MariaDB, CacheDir: t.TempDir(), Version: "10.11", Sources: []Source{SourceEnv, SourceSystem, SourceCache},
	}.withDefaults()
	must(t, err)
	_, err = find(t.Context(), o, func(k string) string { return env[k] })
	var fail *UnavailableError
	if !errors.As(err, &fail) || len(fail.Tried) != 3 || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%v", err)
	}
	for _, part := range []string{
		"MariaDB 10.11", "absent", "it is MySQL 9.7.4", "no MariaDB 10.11 in " + o.CacheDir,
		"mariadb-server", "BINJET_TEST_MARIADBD to", "mariadb:10.11", "BINJET_MARIADB_IMAGE",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
}

func TestDockerLifecycle(t *testing.T) {
	dir := t.TempDir()
	install(t, dir, "docker", map[string]string{"version": "8.4.3"})
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("BINJET_MYSQL_IMAGE", "here:1")
	o := Options{CacheDir: t.TempDir(), Sources: []Source{SourceDocker}}
	s, err := Start(t.Context(), o)
	must(t, err)
	if s.Pid() != 0 || s.Version() != "8.4.3" {
		t.Errorf("pid %d, version %s", s.Pid(), s.Version())
	}
	must(t, s.Stop(t.Context()))
	must(t, s.Restart(t.Context(), "--server-id=7"))
	wantLog(t, s, "--server-id=7")
	must(t, s.Pause())
	must(t, s.Kill())
	must(t, s.Close())
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	must(t, err)
	rest := string(calls)
	for _, want := range []string{
		"image inspect", "--pull=never", "--version\n", "rm -f binjet-", "MYSQL_ALLOW_EMPTY_PASSWORD=1",
		"kill --signal TERM binjet-", "rm -f binjet-", "run --pull=never", "pause binjet-", "kill binjet-", "rm -f -v binjet-", "volume rm -f binjet-",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("no %q at its place in:\n%s", want, calls)
		}
		rest = after
	}
}

func TestDockerRefuses(t *testing.T) {
	dir := t.TempDir()
	install(t, dir, "docker", map[string]string{"version": "8.4.3"})
	t.Setenv("PATH", dir)
	for _, c := range []struct {
		o     Options
		image string
		want  string
	}{
		{Options{}, "absent:1", "absent:1 is not here"},
		{Options{}, "", "mysql:8.4 is not here"},
		{Options{Version: "9"}, "here:1", "it is MySQL 8.4.3, not 9"},
		{Options{Flavor: MariaDB}, "here:1", "it is MySQL 8.4.3, not MariaDB"},
		{Options{Dir: "/somewhere"}, "here:1", "Options.Dir"},
	} {
		o, err := c.o.withDefaults()
		must(t, err)
		if _, err := fromDocker(t.Context(), o, func(string) string { return c.image }); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v %s: %v", c.o, c.image, err)
		}
	}
}
