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
	return map[string]string{"log.level": "debug"}
}

// TestReload: SIGHUP changes each key that docs/configuration.md says it does, in the
// running process; another key is named as needing a restart; and a file with a fault
// leaves everything as it is, the process too.
func TestReload(t *testing.T) {
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
	e := env{"BINJET_CONFIG": file, "BINJET_NATS_URL": ns.URL(), "BINJET_RELAY_HEARTBEAT": "200ms"}
	e.ok(t, "init")
	p := e.start(t)
	p.leads(t)

	write(t, file, base+"  colour: red\n")
	must(t, p.cmd.Process.Signal(hangup))
	p.says(t, file+":3: unknown key source.colour")
	p.says(t, "nothing has changed")

	text := base + "  start: latest\n"
	for _, key := range keys {
		value, ok := changed()[key]
		if !ok {
			t.Fatalf("%s is reloaded, and this test has no value for it", key)
		}
		parts := strings.Split(key, ".")
		text += strings.Join(parts[:len(parts)-1], ": {") + ": {" + parts[len(parts)-1] + ": " + value + strings.Repeat("}", len(parts)-1) + "\n"
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
	p.leads(t)
	p.stop(t)
}
