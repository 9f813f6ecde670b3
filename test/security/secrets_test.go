package security

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
)

// TestNoSecretIsShown: a process at debug level works, is refused by both sides and
// works again, and the other commands do the same. None of the secrets is in a log, an
// error, a metric, a probe, a page or what config print says. (What is broken before
// anything answers is in cmd/binjet.)
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	const secret, other = "S3NT1NELw0rd", "0th3rS3NT1NEL"
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		d := startDatabase(t, flavor)
		d.exec(t, "CREATE USER app@'%' IDENTIFIED BY '"+secret+"'")
		d.exec(t, "GRANT ALL ON *.* TO app@'%'")
		var opts *server.Options
		ns := natstest.Start(t, func(o *server.Options) { opts = o; o.Username, o.Password = "app", secret })
		file := secretFile(t, "source: {dsn: '"+d.as("app", secret)+"'}\nnats: {url: 'nats://app:"+secret+"@"+strings.TrimPrefix(ns.URL(), "nats://")+"'}\nlog: {level: debug}\n")
		e := env{"BINJET_CONFIG": file, "BINJET_RELAY_HEARTBEAT": "200ms", "BINJET_RELAY_HAND_OVER": "10m"}

		var shown []string
		keep := func(what, text string) {
			for _, word := range []string{secret, other} {
				if strings.Contains(text, word) {
					t.Errorf("%s shows a secret:\n%s", what, text)
				}
			}
			shown = append(shown, text)
		}
		all := func(e env, when string) {
			for _, args := range []string{"init", "check", "status", "config print", "config validate", "init -o json", "check -o json", "status -o json", "config print -o json"} {
				_, out := e.run(t, patience, strings.Fields(args)...)
				keep(args+" "+when, out)
			}
		}
		all(e, "at first")
		p := e.start(t)
		p.leads(t)
		for _, path := range []string{"/", "/healthz", "/readyz", "/metrics"} {
			_, body := p.get(t.Context(), path)
			keep(path, body)
		}
		d.exec(t, "ALTER USER app@'%' IDENTIFIED BY '"+other+"'")
		d.disconnect(t, "app")
		p.answers(t, 503, "Access denied")
		opts.Password = other
		ns.Restart()
		p.answers(t, 503, "Authorization Violation")
		for _, path := range []string{"/readyz", "/metrics"} {
			_, body := p.get(t.Context(), path)
			keep(path+" when refused", body)
		}
		all(e, "when refused")
		must(t, p.cmd.Process.Signal(hangup))
		write(t, file, "source: {dsn: '"+d.as("app", other)+"'}\nlog: {level: debug}\n")
		must(t, p.cmd.Process.Signal(hangup))
		p.says(t, `"key":"source.dsn"`)
		d.exec(t, "ALTER USER app@'%' IDENTIFIED BY '"+secret+"'")
		opts.Password = secret
		ns.Restart()
		p.leads(t)
		p.stop(t)
		keep("the log", p.text())
		if text := strings.Join(shown, "\n"); !strings.Contains(text, `"level":"debug"`) || !strings.Contains(text, "[redacted]") || !strings.Contains(text, "binjet_") {
			t.Error("what should have been looked at is not there")
		}
	})
}
