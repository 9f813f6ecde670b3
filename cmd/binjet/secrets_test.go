package main

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// sentinel stands for every secret. Nothing in it needs quoting, so that it can be
// found however it is printed.
const sentinel = "S3NT1NELw0rd"

// leaks are the forms in which a secret could be read from an output.
func leaks(output string) bool {
	for _, form := range []string{sentinel, url.QueryEscape(sentinel), base64.StdEncoding.EncodeToString([]byte(sentinel)),
		hex.EncodeToString([]byte(sentinel)), sentinel[:6], sentinel[6:]} {
		if strings.Contains(output, form) {
			return true
		}
	}
	return false
}

// everyCommand is the arguments of each command that reads the configuration.
func everyCommand(t *testing.T) (list [][]string) {
	t.Helper()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			walk(below)
		}
		if c.Runnable() && c.Flags().Lookup("config") != nil && c.Name() != "dev" { // dev starts servers, whatever the keys say
			list = append(list, strings.Fields(c.CommandPath())[1:])
		}
	}
	walk(newRoot(process{}))
	for _, name := range []string{"run", "check", "init", "config print"} {
		if !slices.ContainsFunc(list, func(args []string) bool { return strings.Join(args, " ") == name }) {
			t.Errorf("%s is missing in %q", name, list)
		}
	}
	return list
}

// shows runs every command, and fails when one shows the secret.
func shows(t *testing.T, commands [][]string, what string, environ []string, flags ...string) {
	t.Helper()
	base := []string{"BINJET_NATS_URL=nats://127.0.0.1:1", "BINJET_HTTP_LISTEN=127.0.0.1:0", "BINJET_LOG_LEVEL=debug"}
	if !slices.ContainsFunc(append(environ, flags...), func(s string) bool { return strings.Contains(strings.ToLower(s), "dsn") }) && !slices.Contains(flags, "-c") {
		base = append(base, "BINJET_SOURCE_DSN=app@tcp(127.0.0.1:1)/shop")
	}
	for n, args := range commands {
		form := []string{"text", "json"}[n%2]
		_, out, errs := do(append(base, environ...), append(append(slices.Clone(args), "-o", form), flags...)...)
		if leaks(out + errs) {
			t.Errorf("%s: binjet %s shows it:\n%s%s", what, strings.Join(args, " "), out, errs)
		}
	}
}

// TestNoCommandShowsASecret: whatever is wrong with a secret, or near it, no command
// says it. Nothing answers at port 1.
func TestNoCommandShowsASecret(t *testing.T) {
	t.Chdir(t.TempDir())
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const s = sentinel
	all, turn := everyCommand(t), 0
	// Faults of the configuration are found by what all commands share, so each runs
	// with a share of them only; what gets as far as connecting runs with all.
	some := func() (list [][]string) {
		turn++
		for n, args := range all {
			if name := strings.Join(args, " "); name == "run" || name == "config validate" || (n+turn)%8 == 0 {
				list = append(list, args)
			}
		}
		return list
	}
	shows(t, all, "a DSN that nothing answers at", []string{"BINJET_SOURCE_DSN=app:" + s + "@tcp(127.0.0.1:1)/shop"})
	shows(t, all, "NATS with a password", []string{"BINJET_NATS_URL=nats://u:" + s + "@127.0.0.1:1"})
	dsns := []string{
		"app:" + s + "@tcp(127.0.0.1:1)/shop", "app:" + s + "@tcp(127.0.0.1:1)", "app:" + s, s, "app:" + s + "@pipe(x)/shop", "app:" + s + "(x)/shop", "app:" + s + "/shop",
		"app:" + s[:6] + "/" + s[6:] + "@tcp(127.0.0.1:1)/shop", "app:" + s[:6] + "/" + s[6:] + "@tcp(127.0.0.1:1)", "app:" + s[:6] + "@" + s[6:] + "@tcp(127.0.0.1:1)/shop",
		"app:" + s[:6] + "(" + s[6:] + "@tcp(127.0.0.1:1)/shop", "app:" + s + "@tcp(127.0.0.1:1/shop", "app:x@tcp(127.0.0.1:1)/shop?tls=" + s, "app:x@tcp(127.0.0.1:1)/shop?timeout=" + s,
		"app:x@tcp(127.0.0.1:1)/shop?" + s, "app:" + s + "@tcp(127.0.0.1:1)/", "app:" + s + " @tcp(127.0.0.1:1)/shop", "mysql://app:" + s + "@127.0.0.1:1/shop", "app:" + s + "@127.0.0.1:1/shop",
	}
	for _, dsn := range dsns {
		shows(t, some(), dsn, []string{"BINJET_SOURCE_DSN=" + dsn})
	}
	shows(t, some(), "a DSN in a file", []string{"BINJET_SOURCE_DSN_FILE=" + file(dsns[1])})
	shows(t, all, "a DSN as a flag", nil, "--dsn="+dsns[0])
	shows(t, some(), "a DSN as a flag of one dash", nil, "-dsn="+dsns[0])
	shows(t, some(), "a DSN as an argument", nil, dsns[0])
	shows(t, some(), "a password in a file", []string{"BINJET_SOURCE_PASSWORD_FILE=" + file(s)})
	shows(t, some(), "two passwords", []string{"BINJET_SOURCE_DSN=" + dsns[0], "BINJET_SOURCE_PASSWORD_FILE=" + file(s)})
	for _, u := range []string{"nats://u:" + s + "@127.0.0.1:1", "nats://" + s + "@127.0.0.1:1", "nats://u:" + s + "@:x", "nats://u:" + s + " @127.0.0.1:1", "http://u:" + s + "@127.0.0.1:1",
		"u:" + s + "@127.0.0.1:1", "nats://u:" + s + "@127.0.0.1:1,nats://u:" + s + "@[::1", "nats://u:" + s + "%zz@127.0.0.1:1", s + "@127.0.0.1:1", "nats://u:" + s[:6] + "/" + s[6:] + "@127.0.0.1:1"} {
		shows(t, some(), u, []string{"BINJET_NATS_URL=" + u})
	}
	for _, environ := range [][]string{
		{"BINJET_NATS_TOKEN=" + s}, {"BINJET_NATS_TOKEN=" + s, "BINJET_NATS_TOKEN_FILE=" + file(s)}, {"BINJET_NATS_TOKEN_FILE=" + file(s)},
		{"BINJET_NATS_PASSWORD=" + s}, {"BINJET_NATS_USER=u", "BINJET_NATS_PASSWORD=" + s}, {"BINJET_NATS_USER=u", "BINJET_NATS_PASSWORD_FILE=" + file(s)},
		{"BINJET_NATS_USER=u", "BINJET_NATS_PASSWORD=" + s, "BINJET_NATS_TOKEN=" + s}, {"BINJET_NATS_NKEY=" + file(s)}, {"BINJET_NATS_CREDS=" + file(s)},
		{"BINJET_HTTP_TOKEN=" + s}, {"BINJET_HTTP_LISTEN=:0", "BINJET_HTTP_TOKEN=" + s + s}, {"BINJET_HTTP_LISTEN=:0", "BINJET_HTTP_TOKEN_FILE=" + file(s+s)},
		{"BINJET_NATS_TLS_CA=" + file(s)}, {"BINJET_SOURCE_TLS_CERT=" + file(s), "BINJET_SOURCE_TLS_KEY=" + file(s)},
		{"BINJET_NATS_TOKN=" + s}, {"BINJET_SOURCE_DNS=" + dsns[0]},
	} {
		shows(t, some(), environ[0], environ)
	}
	for _, text := range []string{
		"source: {dsn: '" + dsns[0] + "'}\nnats: {token: " + s + "}\n", "source: {dsn: [" + s + "]}\n", "source: {dsn: {a: " + s + "}}\n", "source: {dsn: \"" + s + "\n", "source: {dsn: '" + s,
		"nats: {token: " + s + ", token: " + s + "}\n", "nats: {tokn: " + s + "}\n", "nats: {token " + s + "}\n", "nats:\n  token " + s + "\n", "nats: {token: *" + s + "}\n", "nats: {token: &" + s + " x}\n",
		"nats: {token: !" + s + " x}\n", "nats:\n\ttoken: " + s + "\n", "nats:\n  token: |\n    " + s + "\n", "nats: {token: " + s + "]\n", "nats:\n  token: " + s + ": x\n", "nats:\n  - " + s + "\n",
		"nats:\n  token: " + s + "\n user: x\n", "- " + s + "\n", s + "\n", "source: {dsn: %" + s + "}\n", "source: {dsn: @" + s + "}\n", "nats: {token: {{" + s + "}}}\n", "nats: {token: \"\\" + s + "\"}\n",
	} {
		shows(t, some(), text, nil, "-c", file(text))
	}
}
