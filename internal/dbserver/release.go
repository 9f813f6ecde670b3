package dbserver

import (
	"fmt"
	"strings"
)

// release is what /etc/os-release says about this system.
type release struct {
	id       string
	codename string
	pretty   string
}

// parseRelease reads os-release. A derivative of Ubuntu that uses its packages
// names the Ubuntu release, and counts as Ubuntu.
func parseRelease(text string) release {
	var r release
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			if r.id == "" {
				r.id = value
			}
		case "VERSION_CODENAME":
			if r.codename == "" {
				r.codename = value
			}
		case "UBUNTU_CODENAME":
			r.id, r.codename = "ubuntu", value
		case "PRETTY_NAME":
			r.pretty = value
		}
	}
	return r
}

// fetchPlan is what get-server.sh is told, in its environment.
type fetchPlan struct {
	program    string
	packages   string
	suites     string
	components string
	codename   string
	keyring    string
	want       string

	extras []extra
	// stubs are packages that a server names as needed and does not need to run.
	stubs string
}

// planFetch chooses suite and packages. Debian's mirror has every suite, so a
// version is chosen by suite; MySQL is in sid only. Ubuntu has the servers in
// the release itself (MariaDB in universe), and one version of each.
func planFetch(r release, f Flavor, want string) (fetchPlan, error) {
	p := fetchPlan{program: f.programs()[0], codename: r.codename, want: want, extras: f.extras()}
	switch r.id {
	case "debian":
		p.components, p.keyring = "main", "/usr/share/keyrings/debian-archive-keyring.gpg"
		p.packages = f.name() + "-server-core"
		p.suites = debianSuite(f, want)
	case "ubuntu":
		p.components, p.keyring = "main universe", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
		p.suites = r.codename + " " + r.codename + "-updates"
		p.packages = "mysql-server-core mysql-server-core-8.4 mysql-server-core-8.0"
		if f == MariaDB {
			p.packages = "mariadb-server-core mariadb-server-core-10.6"
		}
	default:
		return p, fmt.Errorf("works on Debian and Ubuntu only, this is %q", r.pretty)
	}
	if f == PostgreSQL {
		p.packages, p.stubs = postgresPackages(want)
	}
	return p, nil
}

// postgresPackages: each major version has a package of its own, newest first
// here. The compiler that it links for just-in-time code is loaded only when
// that is on, and is larger than all the rest.
func postgresPackages(want string) (packages, stubs string) {
	majors := []int{19, 18, 17, 16, 15, 14, 13, 12}
	if v, err := parseVersion(want); err == nil {
		majors = v[:1]
	}
	names := []string{"locales", "tzdata", "ssl-cert", "postgresql-common"}
	for llvm := 9; llvm <= 23; llvm++ {
		names = append(names, fmt.Sprintf("libllvm%d", llvm))
	}
	var servers []string
	for _, major := range majors {
		servers = append(servers, fmt.Sprintf("postgresql-%d", major))
		names = append(names, fmt.Sprintf("postgresql-client-%d", major))
	}
	return strings.Join(servers, " "), strings.Join(names, " ")
}

func debianSuite(f Flavor, want string) string {
	v, err := parseVersion(want)
	switch {
	case f == PostgreSQL && (err != nil || v[0] == 15):
		return "bookworm"
	case f == PostgreSQL && v[0] == 17:
		return "trixie"
	case f == PostgreSQL:
		return "sid"
	case f == MySQL:
		return "sid"
	case err != nil || len(v) == 1 && v[0] == 11: // any, or any 11
		return "trixie"
	case len(v) == 1 && v[0] == 10:
		return "bookworm"
	}
	switch v.series() {
	case "10.11":
		return "bookworm"
	case "11.8":
		return "trixie"
	}
	return "sid" // the newest that there is; get-server.sh looks before it downloads
}

func (p fetchPlan) env() []string {
	var extras []string
	for _, e := range p.extras {
		extras = append(extras, e.file+"="+e.packages)
	}
	return []string{
		"PROG=" + p.program, "PACKAGES=" + p.packages, "SUITES=" + p.suites, "COMPONENTS=" + p.components,
		"CODENAME=" + p.codename, "KEYRING=" + p.keyring, "WANT=" + p.want, "STUBS=" + p.stubs, "LC_ALL=C",
		"EXTRAS=" + strings.Join(extras, " "),
	}
}
