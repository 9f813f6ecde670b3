package dbserver

import "testing"

func TestParseBuild(t *testing.T) {
	for out, want := range map[string]struct {
		flavor  Flavor
		version string
		full    string
	}{
		"/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))\n":                               {MySQL, "9.7.4", "9.7.4-2"},
		"/usr/sbin/mysqld  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64 ((Ubuntu))\n":               {MySQL, "8.0.36", "8.0.36-0ubuntu0.22.04.1"},
		"mariadbd  Ver 10.11.18-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)\n":        {MariaDB, "10.11.18", "10.11.18-MariaDB-0+deb12u1"},
		"/opt/x/mysqld  Ver 8.4.3 for macos14.7 on arm64 (Homebrew)\nsome warning\n":                   {MySQL, "8.4.3", "8.4.3"},
		"2025-01-01 warning: Verbose\nmysqld  Ver 11.8.9-MariaDB for debian-linux-gnu (source dist)\n": {MariaDB, "11.8.9", "11.8.9-MariaDB"},
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n":                                       {PostgreSQL, "15.18", "15.18"},
		"postgres (PostgreSQL) 17devel\n":                                                              {PostgreSQL, "17", "17devel"},
	} {
		b, err := parseBuild(out)
		if err != nil || b.flavor != want.flavor || b.version.String() != want.version || b.full != want.full {
			t.Errorf("parseBuild(%q) = %+v, %v", out, b, err)
		}
	}
	for _, out := range []string{"", "mysqld: command not found", "mysqld Ver x.y"} {
		if b, err := parseBuild(out); err == nil {
			t.Errorf("parseBuild(%q) = %+v, want an error", out, b)
		}
	}
}

func TestVersionMatches(t *testing.T) {
	v := version{10, 11, 18}
	for want, ok := range map[string]bool{
		"": true, "10": true, "10.11": true, "10.11.18": true,
		"10.1": false, "1": false, "10.11.1": false, "10.11.18.1": false, "11": false, "x": false,
	} {
		if v.matches(want) != ok {
			t.Errorf("matches(%q) = %v", want, !ok)
		}
	}
}

func TestBuildCheck(t *testing.T) {
	for _, c := range []struct {
		out  string
		o    Options
		good bool
	}{
		{"Ver 9.7.4", Options{Flavor: MySQL}, true},
		{"Ver 9.7.4", Options{Flavor: MySQL, Version: "9.7"}, true},
		{"Ver 9.7.4", Options{Flavor: MySQL, Version: "8.4"}, false},
		{"Ver 9.7.4", Options{Flavor: MariaDB}, false},
		{"Ver 11.8.9-MariaDB", Options{Flavor: MySQL}, false},
		{"Ver 5.7.44", Options{Flavor: MySQL}, false},
		{"Ver 10.4.1-MariaDB", Options{Flavor: MariaDB}, false},
		{"postgres (PostgreSQL) 15.18", Options{Flavor: PostgreSQL, Version: "15"}, true},
		{"postgres (PostgreSQL) 11.2", Options{Flavor: PostgreSQL}, false},
		{"postgres (PostgreSQL) 15.18", Options{Flavor: MySQL}, false},
	} {
		b, err := parseBuild(c.out)
		must(t, err)
		if err := b.check(c.o); (err == nil) != c.good {
			t.Errorf("%s for %+v: %v", c.out, c.o, err)
		}
	}
}

func FuzzParseBuild(f *testing.F) {
	f.Add("mysqld  Ver 9.7.4-2 for Linux")
	f.Add("Ver ")
	f.Fuzz(func(t *testing.T, out string) {
		if b, err := parseBuild(out); err == nil && len(b.version) == 0 {
			t.Errorf("no version and no error for %q", out)
		}
	})
}
