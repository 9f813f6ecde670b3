package dbserver

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// version is the leading numbers of a server's version: 9.7.4, 11.8.9.
type version []int

// parseVersion reads the numbers in front of any suffix: "8.0.36-0ubuntu1" is 8.0.36.
func parseVersion(s string) (version, error) {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		s = s[:end]
	}
	var v version
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, errors.New("not a version")
		}
		v = append(v, n)
	}
	return v, nil
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// series is the first two numbers, which name a release series: 9.7, 10.11.
func (v version) series() string { return v[:min(2, len(v))].String() }

// olderThan tells whether v is of an older series than w.
func (v version) olderThan(w version) bool {
	return slices.Compare(v[:min(2, len(v))], w[:min(2, len(w))]) < 0
}

// matches tells whether v begins with the numbers of want; "" wants nothing.
func (v version) matches(want string) bool {
	if want == "" {
		return true
	}
	w, err := parseVersion(want)
	return err == nil && len(w) <= len(v) && slices.Equal(v[:len(w)], w)
}

// oldest is the first series with the full table metadata that binjet needs, and
// the oldest PostgreSQL that the inbox is meant for.
func oldest(f Flavor) version {
	switch f {
	case MariaDB:
		return version{10, 5}
	case PostgreSQL:
		return version{12}
	}
	return version{8, 0}
}

// build identifies a server program.
type build struct {
	flavor  Flavor
	version version
	full    string // as the program prints it: 11.8.9-MariaDB-0+deb13u1
}

// parseBuild reads what `mysqld --version` prints:
//
//	/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))
//	postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
func parseBuild(out string) (build, error) {
	m := regexp.MustCompile(`(?:\bVer|\(PostgreSQL\)) ([^ \n]+)`).FindStringSubmatch(out)
	if m == nil {
		return build{}, fmt.Errorf("%q is not what a server prints as its version", strings.TrimSpace(out))
	}
	v, err := parseVersion(m[1])
	if err != nil {
		return build{}, fmt.Errorf("version %q: %w", m[1], err)
	}
	b := build{flavor: MySQL, version: v, full: m[1]}
	switch {
	case strings.Contains(out, "(PostgreSQL)"):
		b.flavor = PostgreSQL
	case strings.Contains(out, "MariaDB"):
		b.flavor = MariaDB
	}
	return b, nil
}

// check tells why a build is not what the options ask for, or nil.
func (b build) check(o Options) error {
	switch {
	case b.flavor != o.Flavor:
		return fmt.Errorf("it is %v %v, not %v", b.flavor, b.version, o.Flavor)
	case slices.Compare(b.version, oldest(o.Flavor)) < 0:
		return fmt.Errorf("it is %v %v; binjet needs %v or later", b.flavor, b.version, oldest(o.Flavor))
	case b.version.olderThan(o.atLeast):
		return fmt.Errorf("it is %v %v, older than %v", b.flavor, b.version, o.atLeast)
	case !b.version.matches(o.Version):
		return fmt.Errorf("it is %v %v, not %s", b.flavor, b.version, o.Version)
	}
	return nil
}
