package dbserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func pgMessage(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))) + body
}

// conversation is what a server says, and takes what it is told.
type conversation struct {
	io.Reader
	told bytes.Buffer
}

func (c *conversation) Write(p []byte) (int, error) { return c.told.Write(p) }

func TestPostgresGreeting(t *testing.T) {
	ok := pgMessage('R', "\x00\x00\x00\x00")
	version := pgMessage('S', "server_version\x0015.18 (Debian)\x00")
	for name, c := range map[string]struct {
		in   string
		want string // "" is an error
	}{
		"ready":       {ok + pgMessage('S', "TimeZone\x00UTC\x00") + version + pgMessage('K', "12345678") + pgMessage('Z', "I"), "15.18 (Debian)"},
		"starting up": {pgMessage('E', "SFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"), ""},
		"password":    {pgMessage('R', "\x00\x00\x00\x03"), ""},
		"half":        {ok + version, ""},
		"MySQL":       {string(packet("\x0a9.7.4-2\x00rest")), ""},
		"nothing":     {"", ""},
		"HTTP":        {"HTTP/1.1 400 Bad Request\r\n\r\n", ""},
	} {
		said := &conversation{Reader: strings.NewReader(c.in)}
		got, err := postgresGreeting(said)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if !bytes.Contains(said.told.Bytes(), []byte("user\x00postgres\x00")) {
			t.Errorf("%s: it was told %q", name, said.told.Bytes())
		}
	}
}

func FuzzPostgresMessage(f *testing.F) {
	f.Add([]byte(pgMessage('Z', "I")))
	f.Fuzz(func(_ *testing.T, in []byte) { _, _, _ = postgresMessage(bytes.NewReader(in)) })
}

func TestPostgresIsUnavailable(t *testing.T) {
	o, err := Options{Flavor: PostgreSQL, CacheDir: t.TempDir(), Sources: []Source{SourceEnv, SourceDocker, SourceCache}}.withDefaults()
	must(t, err)
	_, err = find(t.Context(), o, func(string) string { return "" })
	var fail *UnavailableError
	if !errors.As(err, &fail) || len(fail.Tried) != 3 {
		t.Fatalf("%v", err)
	}
	for _, part := range []string{"no PostgreSQL server", "BINJET_TEST_POSTGRES is not set", "not for PostgreSQL", "the package is called postgresql "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
}

// TestPostgresArgs: a commit has to reach the operating system in any case.
func TestPostgresArgs(t *testing.T) {
	for durable, fsyncOff := range map[bool]bool{false: true, true: false} {
		args := strings.Join(serverArgs(Options{Flavor: PostgreSQL, Durable: durable}), " ")
		if strings.Contains(args, "fsync=off") != fsyncOff || strings.Contains(args, "synchronous_commit") || strings.Contains(args, "binlog") {
			t.Errorf("durable %v: %s", durable, args)
		}
	}
}
