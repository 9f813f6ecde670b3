// Package leastprivilege gives tests the accounts of docs/security.md, with exactly
// the rights that stand there, so that the page can't promise what is not enough.
package leastprivilege

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Password is that of every account, on the database and on the broker.
const Password = "secret"

// Grants are the SQL statements of a block of the page, such as "streamer".
func Grants(tb testing.TB, name string) []string {
	tb.Helper()
	var list []string
	for statement := range strings.SplitSeq(block(tb, "grants: "+name, "sql"), ";") {
		if s := strings.TrimSpace(statement); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// Broker has a test's nats-server know the users of the page, and nobody else.
func Broker(tb testing.TB) func(*server.Options) {
	tb.Helper()
	text := block(tb, "nats: server", "text")
	var conf strings.Builder
	for _, name := range regexp.MustCompile(`\$([A-Z]+_PASSWORD)`).FindAllStringSubmatch(text, -1) {
		fmt.Fprintf(&conf, "%s: %s\n", name[1], Password)
	}
	path := filepath.Join(tb.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(conf.String()+text), 0o600); err != nil {
		tb.Fatalf("leastprivilege: %v", err)
	}
	parsed, err := server.ProcessConfigFile(path)
	if err != nil {
		tb.Fatalf("leastprivilege: the configuration of docs/security.md: %v", err)
	}
	return func(o *server.Options) { o.Accounts, o.Users = parsed.Accounts, parsed.Users }
}

// OpenBroker is [Broker], and whoever does not log in may do everything in the
// page's account: that is the test itself.
func OpenBroker(tb testing.TB) func(*server.Options) {
	tb.Helper()
	guard := Broker(tb)
	return func(o *server.Options) {
		guard(o)
		o.NoAuthUser = "test"
		o.Users = append(o.Users, &server.User{Username: o.NoAuthUser, Password: Password, Account: o.Users[0].Account})
	}
}

// Env is the environment by which the command logs in to the broker as a user of the page.
func Env(user string) []string {
	return []string{"BINJET_NATS_USER=" + user, "BINJET_NATS_PASSWORD=" + Password, "BINJET_NATS_INBOX_PREFIX=" + Inbox(user)}
}

// Inbox is the prefix of what is answered to a user.
func Inbox(user string) string { return "_INBOX_" + user }

// block is the fenced block behind a marker of the page.
func block(tb testing.TB, marker, language string) string {
	tb.Helper()
	_, rest, found := strings.Cut(page(tb), "<!-- "+marker+" -->\n```"+language+"\n")
	text, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		tb.Fatalf("leastprivilege: docs/security.md has no %s block %q", language, marker)
	}
	return text
}

// page reads docs/security.md from the checkout that the test runs in.
func page(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatalf("leastprivilege: %v", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "docs", "security.md"))
		if err == nil {
			return string(text)
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("leastprivilege: docs/security.md is in no directory above the test")
		}
		dir = filepath.Dir(dir)
	}
}
