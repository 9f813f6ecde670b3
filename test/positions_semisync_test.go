package test

import (
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/internal/dbserver"
)

// TestPositionsSemiSync: a transaction that waits for a replica is in the binlog,
// and was read, and the server does not count it as executed. It has not lost it.
func TestPositionsSemiSync(t *testing.T) {
	t.Parallel()
	srv, db := startDB(t, dbserver.Options{Flavor: dbserver.MySQL})
	s := newBinlogSource(t, srv, db, "shop")
	execSQL(t, db, "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
	execSQL(t, db, "SET GLOBAL rpl_semi_sync_source_timeout=1000000000")
	connected := make(chan string, 100)
	r := s.reader(t, func(c *binlog.Config) {
		c.Hooks.Connected = func(srv binlog.Server) { connected <- srv.Executed.String() }
	})
	k := stream(t, r, begin(t, r), nil)
	<-connected

	execSQL(t, db, "SET GLOBAL rpl_semi_sync_source_enabled=1")
	committed := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(t.Context(), "INSERT INTO shop.outbox (id,topic,payload) VALUES ('a','t','x')")
		committed <- err
	}()
	k.untilID(t, "a")
	pos := k.position()
	if executed := querySQL(t, db, "SELECT @@GLOBAL.gtid_executed"); executed == pos.Resume.String() {
		t.Fatalf("nothing waits: %s is executed", executed)
	}
	must(t, r.Verify(t.Context(), pos))
	s.killDumps(t)
	select {
	case executed := <-connected:
		if executed == pos.Resume.String() {
			t.Fatalf("nothing waited: %s is executed", executed)
		}
	case <-k.done:
		t.Fatalf("the stream ended: %v", k.err)
	case <-time.After(time.Minute):
		t.Fatal("not connected again")
	}
	execSQL(t, db, "SET GLOBAL rpl_semi_sync_source_enabled=0")
	must(t, <-committed)
	s.insert(t, "b")
	k.untilID(t, "b")
	want(t, "semi-synchronous", k.ids(), "a", "b")
	_ = k.stop()
	s.samePosition(t, k.position())
}
