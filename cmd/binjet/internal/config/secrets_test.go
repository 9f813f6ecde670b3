package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/binjet/binjet/internal/testcert"
)

// One newline is the editor's; all else belongs to the secret.
func TestReadSecret(t *testing.T) {
	for text, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a ": " a "} {
		if got, err := ReadSecret(write(t, "s", text)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, string(got), err)
		}
	}
	for _, path := range []string{"/absent", write(t, "s", "\n"), write(t, "s", "")} {
		if got, err := ReadSecret(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %q, %v", path, string(got), err)
		}
	}
}

// Whatever holds a secret and can be read by everybody is warned of by its key.
func TestOpenFilesAreWarnedOf(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for key, file := range map[string]string{
		"source.dsn_file": write(t, "dsn", dsn), "source.password_file": write(t, "pw", "x"), "nats.nkey": write(t, "seed", string(seed)),
		"nats.creds": write(t, "creds", "x"), "nats.token_file": write(t, "token", "x"), "-c": write(t, "f.yaml", "source: {dsn: "+dsn+"}"),
	} {
		in := Input{Environ: []string{"BINJET_SOURCE_DSN=app@tcp(db)/shop"}}
		switch key {
		case "-c":
			in = Input{File: file}
		case "source.dsn_file":
			in.Environ = nil
			fallthrough
		default:
			in.Environ = append(in.Environ, EnvPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+file)
		}
		for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o440: false, 0o640: false, 0o644: true, 0o660: true, 0o604: true} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			got := load(t, in).Warnings
			if warned != (len(got) == 1) || warned && (!strings.HasPrefix(got[0], key+" names "+file) || !strings.Contains(got[0], "chmod 600")) {
				t.Errorf("%s, mode %o: %q", key, mode, got)
			}
		}
	}
	open := write(t, "f.yaml", "log: {level: info}")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := load(t, Input{File: open, Environ: []string{"BINJET_SOURCE_DSN=" + dsn}}).Warnings; len(got) > 0 {
		t.Errorf("a file without secrets: %q", got)
	}
}

// What stands in files is read anew for each connection, and what can't be used then
// is an error that names the key.
func TestRenew(t *testing.T) {
	file, pw, dir := write(t, "dsn", dsn), write(t, "pw", "one"), t.TempDir()
	ca := testcert.NewCA(t)
	ca.Write(t, dir, ca.Issue(t, time.Now(), time.Now().Add(time.Hour)))
	byDSN := load(t, Input{Environ: []string{"BINJET_SOURCE_DSN_FILE=" + file}}).Database
	byPassword := load(t, Input{Environ: []string{"BINJET_SOURCE_DSN=app@tcp(db)/shop", "BINJET_SOURCE_PASSWORD_FILE=" + pw,
		"BINJET_SOURCE_TLS_CA=" + filepath.Join(dir, "ca.pem")}}).Database
	fixed := load(t, Input{Environ: []string{"BINJET_SOURCE_DSN=" + dsn}}).Database
	set := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renewed := func(d Database, user, password string) Login {
		t.Helper()
		got, err := d.Renew()
		if err != nil || got.User != user || string(got.Password) != password {
			t.Errorf("%q %q %v, want %s %s", got.User, string(got.Password), err, user, password)
		}
		return got
	}
	refused := func(d Database, words string) {
		t.Helper()
		if got, err := d.Renew(); err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, %v", got, err)
		}
	}
	renewed(fixed, "app", "s3cret")
	renewed(byDSN, "app", "s3cret")
	before := renewed(byPassword, "app", "one")

	set(file, "vault-7:n3w@tcp(db:3307)/shop\n")
	set(pw, "two\n")
	other := testcert.NewCA(t)
	other.Write(t, dir, other.Issue(t, time.Now(), time.Now().Add(time.Hour)))
	renewed(byDSN, "vault-7", "n3w")
	after := renewed(byPassword, "app", "two")
	if !before.TLS.RootCAs.Equal(ca.Pool()) || !after.TLS.RootCAs.Equal(other.Pool()) || after.TLS.ServerName != "db" {
		t.Error("the CA is not that of the file")
	}

	set(file, "app:s3cret@tcp(elsewhere:3307)/shop")
	set(pw, "")
	refused(byDSN, "source.dsn_file names tcp(elsewhere:3307)/shop now, but was read as tcp(db:3307)/shop: restart")
	refused(byPassword, "source.password_file names an empty file")
	set(file, "s3cret")
	refused(byDSN, "source.dsn_file is no user:password")
	set(pw, "two")
	set(filepath.Join(dir, "ca.pem"), "")
	refused(byPassword, "source.tls ca holds no PEM certificate")
}

// The seed is read for each signature, and one of another user says so.
func TestNKeyIsReadAgain(t *testing.T) {
	seed := func() string {
		user, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		text, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	path := write(t, "seed", seed())
	login, err := nkeyLogin(path)
	if err != nil {
		t.Fatal(err)
	}
	var o nats.Options
	if err := login(&o); err != nil {
		t.Fatal(err)
	}
	if _, err := o.SignatureCB([]byte("nonce")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(seed()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.SignatureCB([]byte("nonce")); err == nil || !strings.Contains(err.Error(), "restart to log in as it") {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := o.SignatureCB([]byte("nonce")); err == nil || !strings.Contains(err.Error(), "nats.nkey can't be read") {
		t.Error(err)
	}
}
