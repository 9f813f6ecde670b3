package config

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// resolve turns the keys into what is connected to, and checks them all.
func (l *loader) resolve() {
	l.database()
	l.broker()
	l.cfg.Admin.Token, l.cfg.Admin.TokenFile = l.secret("http.token", l.cfg.HTTP.Token, "http.token_file", l.cfg.HTTP.TokenFile)
	l.applyPreset()
	l.validate()
	l.openConfigFile()
}

const dsnForm = "user:password@tcp(host:3306)/database"

func (l *loader) database() {
	value, file := l.secret("source.dsn", l.cfg.Source.DSN, "source.dsn_file", l.cfg.Source.DSNFile)
	l.cfg.Source.DSN = value
	key := "source.dsn"
	if file != "" {
		key = "source.dsn_file"
	}
	if value == "" {
		if file == "" && !l.offline {
			l.fault(key, "is missing: set it to %s, or set BINJET_SOURCE_DSN, --dsn or source.dsn_file", dsnForm)
		}
		return
	}
	parsed, err := parseDSN(string(value))
	if err != nil {
		l.fault(key, "%s", err)
		return
	}
	db := &l.cfg.Database
	db.Net, db.Addr, db.User, db.Password, db.Name = parsed.Net, parsed.Addr, parsed.User, Secret(parsed.Passwd), parsed.DBName
	l.password(key)
	l.databaseTLS(key, parsed)
	if l.cfg.Source.Name == "" {
		l.cfg.Source.Name = db.Name
	}
	db.renewal = renewal{dsnFile: file, passwordFile: l.cfg.Source.PasswordFile, tls: l.cfg.Source.TLS, host: host(parsed.Addr)}
}

// parseDSN reads a DSN. Its errors continue the sentence "source.dsn …", and hold
// nothing of it: what is no DSN may have a password anywhere.
func parseDSN(dsn string) (*mysql.Config, error) {
	parsed, err := mysql.ParseDSN(dsn)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is no %s: %s", dsnForm, dsnProblem(err))
	case strings.ContainsAny(parsed.DBName, "@()"): // a "/" in the password, and none before the database
		return nil, fmt.Errorf("is no %s: the /database is missing (write / alone for none)", dsnForm)
	case parsed.Net != "tcp" && parsed.Net != "unix":
		return nil, errors.New("connects by something else than tcp(host:port) or unix(/path), which alone are supported")
	case parsed.User == "":
		return nil, errors.New("names no user")
	}
	return parsed, nil
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
	db.Password, _ = l.secret("", "", "source.password_file", l.cfg.Source.PasswordFile)
}

// host is that of an address, "" for a socket.
func host(addr string) string {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return name
}

// databaseTLS takes TLS from the DSN's tls parameter or the source.tls keys.
func (l *loader) databaseTLS(dsnKey string, parsed *mysql.Config) {
	conf := l.tls("source.tls", l.cfg.Source.TLS, host(parsed.Addr))
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
	b.Password, b.PasswordFile = l.secret("nats.password", n.Password, "nats.password_file", n.PasswordFile)
	b.Token, b.TokenFile = l.secret("nats.token", n.Token, "nats.token_file", n.TokenFile)
	b.TLS = l.tls("nats.tls", n.TLS, "")

	password, token := b.Password != "" || b.PasswordFile != "", b.Token != "" || b.TokenFile != ""
	var ways []string
	for _, w := range []struct {
		set  bool
		name string
	}{{n.Creds != "", "nats.creds"}, {n.NKey != "", "nats.nkey"}, {n.User != "", "nats.user"}, {token, "nats.token"}} {
		if w.set {
			ways = append(ways, w.name)
		}
	}
	if len(ways) > 1 {
		l.fault(ways[0], "and %s are different ways to log in: keep one", strings.Join(ways[1:], ", "))
	}
	if password && n.User == "" {
		l.fault("nats.user", "is missing, but a password is set")
	}
	if n.User != "" && !password {
		l.fault("nats.password", "is missing for nats.user: set it or nats.password_file")
	}
	if l.readable("nats.creds", n.Creds) {
		l.private("nats.creds", n.Creds)
	}
	if l.readable("nats.nkey", n.NKey) {
		l.private("nats.nkey", n.NKey)
		login, err := nkeyLogin(n.NKey)
		if err != nil {
			l.fault("nats.nkey", "%s", err)
		}
		b.NKey = login
	}
}
