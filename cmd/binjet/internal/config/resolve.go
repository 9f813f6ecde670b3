package config

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
)

// resolve turns the keys into what is connected to, and checks them all.
func (l *loader) resolve() {
	l.cfg.Source.DSN = l.secret("source.dsn", l.cfg.Source.DSN, "source.dsn_file", l.cfg.Source.DSNFile)
	l.database()
	l.broker()
	l.validate()
}

// secret is the value of key, or the content of the file that fileKey names. When
// both are set, the one of the higher layer wins, so that a variable can replace a
// file's setting; both in one layer are a fault, since nobody can tell which is meant.
func (l *loader) secret(key string, value Secret, fileKey, path string) Secret {
	if path == "" {
		return value
	}
	if value != "" {
		switch a, b := l.origin[key].rank, l.origin[fileKey].rank; {
		case a > b:
			return value
		case a == b:
			l.fault(fileKey, "and %s are both set: keep one", key)
			return value
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		l.fault(fileKey, "can't be read: %v", err)
		return value
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		l.fault(fileKey, "names an empty file: %s", path)
	}
	return Secret(text)
}

const dsnForm = "user:password@tcp(host:3306)/database"

func (l *loader) database() {
	key := "source.dsn"
	if l.isSet("source.dsn_file") && (!l.isSet(key) || l.origin[key].rank < l.origin["source.dsn_file"].rank) {
		key = "source.dsn_file"
	}
	dsn := string(l.cfg.Source.DSN)
	if dsn == "" {
		if key == "source.dsn" && !l.offline {
			l.fault(key, "is missing: set it to %s, or set BINJET_SOURCE_DSN, --dsn or source.dsn_file", dsnForm)
		}
		return
	}
	parsed, err := mysql.ParseDSN(dsn)
	if err != nil {
		l.fault(key, "is no %s: %s", dsnForm, dsnProblem(err))
		return
	}
	if strings.ContainsAny(parsed.DBName, "@()") { // a "/" in the password, and none before the database
		l.fault(key, "is no %s: the /database is missing (write / alone for none)", dsnForm)
		return
	}
	db := &l.cfg.Database
	db.Net, db.Addr, db.User, db.Password, db.Name = parsed.Net, parsed.Addr, parsed.User, Secret(parsed.Passwd), parsed.DBName
	if db.Net != "tcp" && db.Net != "unix" {
		l.fault(key, "connects by %q: only tcp(host:port) and unix(/path) are supported", db.Net)
	}
	if db.User == "" {
		l.fault(key, "names no user")
	}
	l.password(key)
	l.databaseTLS(key, parsed)
	if l.cfg.Source.Name == "" {
		l.cfg.Source.Name = db.Name
	}
}

// dsnProblem is what is wrong with a DSN in words that hold nothing of it.
func dsnProblem(err error) string {
	if text, ok := strings.CutPrefix(err.Error(), "invalid DSN: "); ok {
		return text
	}
	if strings.Contains(err.Error(), "unknown config name") {
		return "its tls parameter names a configuration of Go code, which there is none of here: use tls=true and the source.tls keys"
	}
	return "one of its ?parameters has a value that can't be used"
}

func (l *loader) password(dsnKey string) {
	db := &l.cfg.Database
	if l.cfg.Source.PasswordFile == "" {
		return
	}
	if db.Password != "" {
		l.fault("source.password_file", "is set, but %s holds a password too: keep one", dsnKey)
		return
	}
	db.Password = l.secret("", "", "source.password_file", l.cfg.Source.PasswordFile)
}

// databaseTLS takes TLS from the DSN's tls parameter or the source.tls keys.
func (l *loader) databaseTLS(dsnKey string, parsed *mysql.Config) {
	host, _, err := net.SplitHostPort(parsed.Addr)
	if err != nil {
		host = ""
	}
	conf := l.tls("source.tls", l.cfg.Source.TLS, host)
	switch {
	case parsed.TLSConfig == "preferred":
		l.fault(dsnKey, "has tls=preferred, which goes on unencrypted when the server has no TLS: use tls=true, tls=skip-verify or the source.tls keys")
	case parsed.TLS != nil && conf != nil:
		l.fault(dsnKey, "has tls=%s, and source.tls is set too: keep one", parsed.TLSConfig)
	case conf == nil:
		conf = parsed.TLS
	}
	if conf != nil && parsed.Net == "unix" {
		l.fault(dsnKey, "is a unix socket, which has no TLS: leave tls out")
	}
	l.cfg.Database.TLS = conf
}

func (l *loader) broker() {
	n := &l.cfg.NATS
	b := &l.cfg.Broker
	b.Password = l.secret("nats.password", n.Password, "nats.password_file", n.PasswordFile)
	b.Token = l.secret("nats.token", n.Token, "nats.token_file", n.TokenFile)
	b.TLS = l.tls("nats.tls", n.TLS, "")

	var ways []string
	for _, w := range []struct {
		set  bool
		name string
	}{{n.Creds != "", "nats.creds"}, {n.NKey != "", "nats.nkey"}, {n.User != "", "nats.user"}, {b.Token != "", "nats.token"}} {
		if w.set {
			ways = append(ways, w.name)
		}
	}
	if len(ways) > 1 {
		l.fault(ways[0], "and %s are different ways to log in: keep one", strings.Join(ways[1:], ", "))
	}
	if b.Password != "" && n.User == "" {
		l.fault("nats.user", "is missing, but a password is set")
	}
	if n.User != "" && b.Password == "" {
		l.fault("nats.password", "is missing for nats.user: set it or nats.password_file")
	}
	l.readable("nats.creds", n.Creds)
	if l.readable("nats.nkey", n.NKey) {
		login, err := nats.NkeyOptionFromSeed(n.NKey)
		if err != nil {
			l.fault("nats.nkey", "names a file that holds no NKey seed: %s", n.NKey)
		}
		b.NKey = login
	}
}

// readable reports whether a file is named and can be opened, and faults one that
// is named and can't.
func (l *loader) readable(key, path string) bool {
	if path == "" {
		return false
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.fault(key, "names a file that does not exist: %s", path)
	case err != nil:
		l.fault(key, "can't be read: %v", err)
	default:
		_ = f.Close()
		return true
	}
	return false
}
