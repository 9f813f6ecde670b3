package security

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
)

const hangup = syscall.SIGHUP

// changed are values for the keys that SIGHUP may change, other than their defaults.
func changed() map[string]string {
	return map[string]string{"log.level": "debug", "retention.interval": "20ms", "retention.batch_rows": "7", "retention.pause": "0s", "tracing.sampling": "0.5"}
}

// TestReload: SIGHUP changes each key that docs/configuration.md says it does, in the
// running process; another key is named as needing a restart; and a file with a fault
// leaves everything as it is, the process too. Rows that a long retention.interval kept
// go when it is short.
func TestReload(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	must(t, err)
	var keys []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` .*\\*\\*SIGHUP\\*\\*").FindAllStringSubmatch(string(page), -1) {
		keys = append(keys, row[1])
	}
	if len(keys) == 0 {
		t.Fatal("the page names no key that SIGHUP changes")
	}
	d, ns := startDatabase(t, dbserver.MySQL), natstest.Start(t)
	base := "source:\n  dsn: " + d.DSN("shop") + "\n"
	file := secretFile(t, base)
	e := env{"BINJET_CONFIG": file, "BINJET_NATS_URL": ns.URL(), "BINJET_RELAY_HEARTBEAT": "200ms", "BINJET_RETENTION_KEEP": "1us"}
	write(t, file, base+"retention: {interval: 24h}\n") // which passes before anybody leads
	e.ok(t, "init")
	d.insert(t, "old")
	p := e.start(t)
	p.leads(t)

	write(t, file, base+"  colour: red\nretention: {interval: 20ms}\n")
	must(t, p.cmd.Process.Signal(hangup))
	p.says(t, file+":3: unknown key source.colour")
	p.says(t, "nothing has changed")

	sections := map[string][]string{}
	for _, key := range keys {
		value, ok := changed()[key]
		if !ok {
			t.Fatalf("%s is reloaded, and this test has no value for it", key)
		}
		section, name, _ := strings.Cut(key, ".")
		sections[section] = append(sections[section], name+": "+value)
	}
	text := base + "  start: latest\n"
	for section, set := range sections {
		text += section + ": {" + strings.Join(set, ", ") + "}\n"
	}
	write(t, file, text)
	must(t, p.cmd.Process.Signal(hangup))
	for _, key := range keys {
		p.says(t, `"key":"`+key+`","old":`)
	}
	p.says(t, `"key":"source.start","running":"snapshot","configured":"latest"`)
	p.says(t, `"need_restart":1,"message":"configuration reloaded"`)
	must(t, p.cmd.Process.Signal(hangup))
	p.says(t, `"level":"debug"`)
	eventually(t, "the row to be pruned", p.text, func() bool {
		n := 0
		must(t, d.root.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM outbox").Scan(&n))
		return n == 0
	})
	p.leads(t)
	p.stop(t)
}
