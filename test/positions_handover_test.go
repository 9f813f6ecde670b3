package test

import (
	"strings"
	"testing"

	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestHandOverOfALostSource: the way to the database is cut for the leader only,
// and the standby goes on. Then the database is down for both: nobody leads, and
// nobody is deposed by it, until one of them reaches it again.
func TestHandOverOfALostSource(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor})
			w := newCmdWorld(t, bin, srv, db, "handover")
			w.init(t)
			w.env["BINJET_RELAY_COMMIT_TIMEOUT"] = "200ms"
			w.env["BINJET_SOURCE_HEARTBEAT"], w.env["BINJET_SOURCE_READ_TIMEOUT"] = "100ms", "500ms"
			p := newProxy(t, srv.Addr())
			first := w.start(t, map[string]string{"BINJET_SOURCE_DSN": strings.Replace(srv.DSN(w.schema), srv.Addr(), p.addr(), 1)})
			first.follows(t)
			w.insert(t, "a")
			w.untilPublished(t, "a")
			second := w.start(t, nil)
			second.eventually(t, "/readyz", 200, `"role": "standby"`)

			p.silence(true)
			second.eventually(t, "/readyz", 200, `"role": "leader"`)
			w.insert(t, "b")
			w.untilPublished(t, "b")
			first.eventually(t, "/readyz", 200, `"role": "standby"`)

			must(t, srv.Kill())
			for _, d := range []*cmdDaemon{first, second} {
				d.eventually(t, "/readyz", 503, "verify the position")
			}
			before, err := store.New(w.nc, "OUTBOX", w.schema).Load(t.Context())
			must(t, err)
			if !before.Released || before.Epoch != 2 {
				t.Errorf("while the database is down: %+v", before.Checkpoint)
			}
			must(t, srv.Restart(t.Context()))
			second.eventually(t, "/readyz", 200, `"role": "leader"`)
			w.insert(t, "c")
			w.untilPublished(t, "c")

			p.silence(false)
			if code := second.stop(t); code != 0 {
				t.Errorf("exit %d: %s", code, second.text())
			}
			first.eventually(t, "/readyz", 200, `"role": "leader"`)
			w.insert(t, "d")
			w.untilPublished(t, "d")
			if got := strings.Join(w.published(t), " "); got != "a b c d" {
				t.Errorf("the stream holds %s", got)
			}
			after, err := store.New(w.nc, "OUTBOX", w.schema).Load(t.Context())
			must(t, err)
			if after.Epoch != 4 {
				t.Errorf("%d take-overs, want one for each change", after.Epoch)
			}
			if code := first.stop(t); code != 0 {
				t.Errorf("exit %d: %s", code, first.text())
			}
		})
	}
}
