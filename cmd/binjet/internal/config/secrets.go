package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// secret is the value of key, or the content of the file that fileKey names, and
// then that file too. When both are set, the one of the higher layer wins, so that a
// variable can replace a file's setting; both in one layer are a fault, since nobody
// can tell which is meant.
func (l *loader) secret(key string, value Secret, fileKey, path string) (_ Secret, file string) {
	if path == "" {
		return value, ""
	}
	if value != "" {
		switch a, b := l.origin[key].rank, l.origin[fileKey].rank; {
		case a > b:
			return value, ""
		case a == b:
			l.fault(fileKey, "and %s are both set: keep one", key)
			return value, ""
		}
	}
	if l.fileOnly {
		return "", path
	}
	text, err := ReadSecret(path)
	if err != nil {
		l.fault(fileKey, "%s", err)
		return "", path
	}
	l.private(fileKey, path)
	return text, path
}

// ReadSecret reads the file of a secret, less the newline that an editor leaves at
// its end. An empty one is an error: it may be one that is being written. Errors
// continue the sentence "nats.token_file …".
func ReadSecret(path string) (Secret, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("can't be read: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("names an empty file: %s", path)
	}
	return Secret(text), nil
}

// private warns of a file with a secret that others may read, or more than its owner
// may write. Windows has no such bits.
func (l *loader) private(key, path string) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o027 == 0 {
		return
	}
	l.cfg.Warnings = append(l.cfg.Warnings, fmt.Sprintf(
		"%s names %s, which more than its owner's group can read, or more than its owner change (mode %04o): "+
			"chmod 600 it, or 640 for a group; for a secret in Kubernetes set defaultMode: 0440, in Docker mode: 0440",
		key, path, info.Mode().Perm()))
}

// openConfigFile warns of a file that holds a secret and that others may read.
func (l *loader) openConfigFile() {
	for _, k := range l.keys {
		if secret, ok := l.field(k).Interface().(Secret); ok && secret != "" && l.origin[k.Name].rank == byFile {
			l.private("-c", l.cfg.File)
			return
		}
	}
}

// readable reports whether a file is named and can be opened, and faults one that
// is named and can't.
func (l *loader) readable(key, path string) bool {
	if path == "" || l.fileOnly {
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

// Login is what a connection to the source is opened with.
type Login struct {
	User     string
	Password Secret
	TLS      *tls.Config // nil for none
}

// renewal is where the login of the source is read from again.
type renewal struct {
	dsnFile, passwordFile string
	tls                   TLS
	host                  string
}

// Renew is the login as of now: what stands in files is read again, since passwords
// and certificates are rotated while the process runs. An error continues the
// sentence "connect to the source: …".
func (d Database) Renew() (Login, error) {
	l := Login{User: d.User, Password: d.Password, TLS: d.TLS}
	if d.renewal.dsnFile != "" {
		if err := d.renewDSN(&l); err != nil {
			return Login{}, fmt.Errorf("source.dsn_file %w", err)
		}
	}
	if d.renewal.passwordFile != "" {
		text, err := ReadSecret(d.renewal.passwordFile)
		if err != nil {
			return Login{}, fmt.Errorf("source.password_file %w", err)
		}
		l.Password = text
	}
	if d.renewal.tls.on() {
		conf, err := d.renewal.tls.config(d.renewal.host)
		if err != nil {
			return Login{}, fmt.Errorf("source.tls %w", err)
		}
		l.TLS = conf
	}
	return l, nil
}

func (d Database) renewDSN(l *Login) error {
	text, err := ReadSecret(d.renewal.dsnFile)
	if err != nil {
		return err
	}
	parsed, err := parseDSN(string(text))
	if err != nil {
		return err
	}
	if parsed.Net != d.Net || parsed.Addr != d.Addr || parsed.DBName != d.Name {
		return fmt.Errorf("names %s(%s)/%s now, but was read as %s(%s)/%s: restart to follow it", parsed.Net, parsed.Addr, parsed.DBName, d.Net, d.Addr, d.Name)
	}
	l.User, l.Password = parsed.User, Secret(parsed.Passwd)
	return nil
}

// nkeyLogin logs in by the seed in a file, which is read at each connect. The key is
// the user's identity, which the client library takes once: another one is refused
// rather than left to a login that can only fail.
func nkeyLogin(path string) (nats.Option, error) {
	pair, err := nkeyPair(path)
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("names a file that holds no NKey seed: %s", path)
	}
	return nats.Nkey(public, func(nonce []byte) ([]byte, error) {
		pair, err := nkeyPair(path)
		if err != nil {
			return nil, fmt.Errorf("nats.nkey %w", err)
		}
		defer pair.Wipe()
		if now, err := pair.PublicKey(); err != nil || now != public {
			return nil, fmt.Errorf("nats.nkey is the seed of %s now, but was of %s: another key is another user, restart to log in as it", now, public)
		}
		return pair.Sign(nonce)
	}), nil
}

func nkeyPair(path string) (nkeys.KeyPair, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	defer clear(data)
	pair, err := nkeys.ParseDecoratedUserNKey(data)
	if err != nil {
		return nil, fmt.Errorf("names a file that holds no NKey seed of a user: %s", path)
	}
	return pair, nil
}
