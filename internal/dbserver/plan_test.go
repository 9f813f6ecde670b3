package dbserver

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"
	ubuntu = "PRETTY_NAME=\"Ubuntu 24.04 LTS\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n"
	mint   = "ID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n"
	mintV  = "UBUNTU_CODENAME=noble\nVERSION_CODENAME=wilma\nID=linuxmint\n"
	fedora = "ID=fedora\nPRETTY_NAME=\"Fedora Linux 42\"\n"
)

func TestPlanFetch(t *testing.T) {
	for _, c := range []struct {
		release  string
		flavor   Flavor
		want     string
		suites   string // "" is an error
		packages string
	}{
		{debian, MySQL, "", "sid", "mysql-server-core"},
		{debian, MySQL, "9.7", "sid", "mysql-server-core"},
		{debian, MariaDB, "", "trixie", "mariadb-server-core"},
		{debian, MariaDB, "11", "trixie", "mariadb-server-core"},
		{debian, MariaDB, "11.8.9", "trixie", "mariadb-server-core"},
		{debian, MariaDB, "10", "bookworm", "mariadb-server-core"},
		{debian, MariaDB, "10.11", "bookworm", "mariadb-server-core"},
		{debian, MariaDB, "12", "sid", "mariadb-server-core"},
		{ubuntu, MySQL, "", "noble noble-updates", "mysql-server-core mysql-server-core-8.4 mysql-server-core-8.0"},
		{mint, MariaDB, "", "noble noble-updates", "mariadb-server-core mariadb-server-core-10.6"},
		{mintV, MariaDB, "", "noble noble-updates", "mariadb-server-core mariadb-server-core-10.6"},
		{debian, PostgreSQL, "15", "bookworm", "postgresql-15"},
		{debian, PostgreSQL, "17.2", "trixie", "postgresql-17"},
		{ubuntu, PostgreSQL, "16", "noble noble-updates", "postgresql-16"},
		{fedora, MySQL, "", "", ""},
		{"", MySQL, "", "", ""},
	} {
		p, err := planFetch(parseRelease(c.release), c.flavor, c.want)
		if (err == nil) != (c.suites != "") || err == nil && (p.suites != c.suites || p.packages != c.packages) {
			t.Errorf("%.20q %v %q: %+v, %v", c.release, c.flavor, c.want, p, err)
		}
		if err == nil && !slices.Contains(p.env(), "WANT="+c.want) {
			t.Errorf("the script is not told the version: %q", p.env())
		}
		extras := "EXTRAS="
		if c.flavor == MariaDB {
			extras += "usr/lib/mysql/plugin/ha_blackhole.so=mariadb-server-10.6,mariadb-server usr/bin/mariadb-binlog=mariadb-client-10.6,mariadb-client"
		}
		if err == nil && !slices.Contains(p.env(), extras) {
			t.Errorf("the script is not told %s: %q", extras, p.env())
		}
	}
}

// The embedded script names no host: the system knows its mirror.
func TestScriptNamesNoMirror(t *testing.T) {
	for _, bad := range []string{"://", "deb.", ".org"} {
		if strings.Contains(getServer, bad) {
			t.Errorf("the script has %q", bad)
		}
	}
}

func TestScriptsParse(t *testing.T) {
	scripts, err := filepath.Glob("scripts/*.sh")
	must(t, err)
	for _, s := range scripts {
		if out, err := exec.Command("bash", "-n", s).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", s, err, out)
		}
	}
	if out, err := exec.Command("sh", "-n", "-c", guardScript).CombinedOutput(); err != nil {
		t.Errorf("guard: %v: %s", err, out)
	}
}

func TestServerArgs(t *testing.T) {
	for _, c := range []struct {
		o       Options
		with    string
		without string
	}{
		{Options{Flavor: MySQL}, "--gtid-mode=ON", "--expire-logs-days=0"},
		{Options{Flavor: MySQL}, "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-log-at-trx-commit=0"},
		{Options{Flavor: MariaDB}, "--expire-logs-days=0", "--gtid-mode=ON"},
		{Options{Flavor: MariaDB, Durable: true}, "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=0"},
	} {
		args := serverArgs(c.o)
		if !slices.Contains(args, c.with) || slices.Contains(args, c.without) {
			t.Errorf("%+v: %q", c.o, args)
		}
		for _, always := range []string{"--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL"} {
			if !slices.Contains(args, always) {
				t.Errorf("%+v: no %s", c.o, always)
			}
		}
	}
}

func TestImages(t *testing.T) {
	for _, c := range []struct {
		f    Flavor
		want string
		out  string
	}{
		{MySQL, "", "mysql:8.4"},
		{MySQL, "8.4", "mysql:8.4"},
		{MySQL, "8", "mysql:8 mysql:8.4"},
		{MySQL, "8.4.3", "mysql:8.4.3 mysql:8.4"},
		{MySQL, "9.7", "mysql:9.7"},
		{MariaDB, "", "mariadb:11"},
		{MariaDB, "11.8", "mariadb:11.8 mariadb:11"},
		{MariaDB, "10.11", "mariadb:10.11"},
	} {
		if got := strings.Join(c.f.images(c.want), " "); got != c.out {
			t.Errorf("%v %q: %s, want %s", c.f, c.want, got, c.out)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Flavor: "oracle"}, {Version: "latest"}, {Port: -1}, {Port: 70000}, {Sources: []Source{"magic"}},
	} {
		if _, err := o.withDefaults(); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	env := map[string]string{"HOME": "/home/x"}
	getenv := func(k string) string { return env[k] }
	for xdg, want := range map[string]string{"": "/home/x/.cache/binjet", "/c": "/c/binjet", "relative": "/home/x/.cache/binjet"} {
		env["XDG_CACHE_HOME"] = xdg
		if got, err := defaultCacheDir(getenv); got != want || err != nil {
			t.Errorf("XDG_CACHE_HOME=%q: %s, %v", xdg, got, err)
		}
	}
	clear(env)
	if _, err := defaultCacheDir(getenv); err == nil {
		t.Error("no home and no error")
	}
}
