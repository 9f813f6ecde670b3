//go:build containers

package compose

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// handOver is far below the three heartbeats of a second each that a standby waits for
// a leader that is silent, and far above what taking over from one that has left needs.
const handOver = 2 * time.Second

// TestCompose: what the writer commits arrives at the consumer exactly once and in
// order, while one leader is killed and the next one is stopped; the stopped one hands
// over before it exits with 0; Prometheus sees both and evaluates the alerts; and nothing
// of it all is left at the end. One project is run by Compose v2 and one by v1.
func TestCompose(t *testing.T) {
	for _, tt := range []struct {
		name    string
		major   int // of Compose
		watched bool
		files   []string
	}{
		{"mysql", 2, true, []string{"docker-compose.yml"}},
		{"mariadb", 1, false, []string{"docker-compose.yml", "deploy/compose/mariadb.yml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := up(t, tt.name, tt.major, tt.files...)
			w.inOrder()
			w.confined()
			first, second := w.roles()
			if tt.watched {
				w.watch()
			}
			db := w.db()
			w.untilInvoiced(db, 50)

			killed := time.Now()
			w.docker("kill", "-s", "KILL", w.container(first))
			t.Logf("the standby leads %v after the leader was killed", w.untilLeads(second).Sub(killed).Round(time.Millisecond))
			w.docker("start", w.container(first))
			w.eventually(first+" stands by", func() bool { return w.ready(first).Role == "standby" })
			if tt.watched {
				w.scraped("binjet-1:9188", "binjet-2:9188")
				w.ruled()
			}

			w.docker("stop", "-t", "20", w.container(second))
			if code := w.inspect(second, ".State.ExitCode"); code != "0" {
				t.Errorf("the stopped leader's exit code is %s", code)
			}
			ended, err := time.Parse(time.RFC3339Nano, w.inspect(second, ".State.FinishedAt"))
			must(t, err)
			took := w.untilLeads(first).Sub(ended)
			t.Logf("the standby leads %v after the leader had stopped", took.Round(time.Millisecond))
			if took > handOver {
				t.Errorf("it took %v: the leader did not hand over", took)
			}
			w.arrived(db)
		})
	}
}

// inOrder: the database is healthy, init did its work at the first attempt, and the
// others began when it had.
func (w *world) inOrder() {
	w.t.Helper()
	if health := w.inspect("db", ".State.Health.Status"); health != "healthy" {
		w.t.Errorf("the database is %s", health)
	}
	at := func(service, field string) time.Time {
		at, err := time.Parse(time.RFC3339Nano, w.inspect(service, field))
		must(w.t, err)
		return at
	}
	if code, again := w.inspect("init", ".State.ExitCode"), w.inspect("init", ".RestartCount"); code != "0" || again != "0" {
		w.t.Errorf("init's exit code is %s, restarts %s", code, again)
	}
	done := at("init", ".State.FinishedAt")
	for _, service := range []string{"binjet-1", "binjet-2", "writer", "consumer"} {
		if begun := at(service, ".State.StartedAt"); begun.Before(done) {
			w.t.Errorf("%s began at %v, before init was done at %v", service, begun, done)
		}
	}
}

// confined: an unprivileged user on a file system that can't be written to.
func (w *world) confined() {
	w.t.Helper()
	for _, service := range []string{"init", "binjet-1", "binjet-2", "writer", "consumer"} {
		if user := w.inspect(service, ".Config.User"); user != "65532:65532" {
			w.t.Errorf("%s runs as %q", service, user)
		}
		if w.inspect(service, ".HostConfig.ReadonlyRootfs") != "true" {
			w.t.Errorf("%s can write to its root file system", service)
		}
		if service == "init" {
			continue // it has ended
		}
		users := strings.Fields(w.docker("top", w.container(service), "-eo", "pid,uid"))
		if len(users) < 4 {
			w.t.Errorf("%s has no process: %q", service, users)
		}
		for i := 3; i < len(users); i += 2 { // a health check is a process too
			if users[i] != "65532" {
				w.t.Errorf("%s runs as %q", service, users)
			}
		}
	}
}

// roles waits until both streamers are ready and healthy, and tells who is what.
func (w *world) roles() (leader, standby string) {
	w.t.Helper()
	services := []string{"binjet-1", "binjet-2"}
	for _, s := range services {
		w.eventually(s+" is healthy", func() bool { return w.inspect(s, ".State.Health.Status") == "healthy" })
	}
	w.eventually("one leads and one stands by", func() bool {
		a, b := w.ready(services[0]), w.ready(services[1])
		if b.Role == "leader" {
			slices.Reverse(services)
		}
		return a.Role != b.Role && a.Ready && b.Ready
	})
	return services[0], services[1]
}

// arrived stops the writer, waits until its last event is handled, and compares
// tables and stream.
func (w *world) arrived(db *sql.DB) {
	w.t.Helper()
	w.docker("stop", w.container("writer"))
	if code := w.inspect("writer", ".State.ExitCode"); code != "0" {
		w.t.Fatalf("the writer's exit code is %s", code)
	}
	want := column(w.t, db, "SELECT id FROM orders ORDER BY id")
	w.untilInvoiced(db, len(want))
	w.t.Logf("%d orders were placed", len(want))
	for what, got := range map[string][]string{
		"invoices written":   column(w.t, db, "SELECT order_id FROM invoices ORDER BY id"),
		"keys on the stream": w.published("Outbox-Key"),
		"keys in the table":  column(w.t, db, "SELECT message_key FROM outbox ORDER BY CAST(message_key AS SIGNED)"),
	} {
		if !slices.Equal(got, want) {
			w.t.Errorf("%s: %d, want %d, in order: %s", what, len(got), len(want), got)
		}
	}
}

func (w *world) untilInvoiced(db *sql.DB, n int) {
	w.t.Helper()
	w.eventually(fmt.Sprint(n, " invoices"), func() bool {
		got, err := strconv.Atoi(column(w.t, db, "SELECT COUNT(*) FROM invoices")[0])
		must(w.t, err)
		return got >= n
	})
}
