package test

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// quick makes silence count after a third of a second.
func quick(c *binlog.Config) { c.Heartbeat, c.ReadTimeout = 100*time.Millisecond, 300*time.Millisecond }

// binlogSlow: a callee that takes longer than any timeout is no lost connection.
func binlogSlow(t *testing.T, s *binlogSource) {
	r := s.reader(t, func(c *binlog.Config) {
		quick(c)
		c.Hooks.Disconnected = func(err error) { t.Errorf("disconnected: %v", err) }
	})
	k := stream(t, r, begin(t, r), func(tx *checkpoint.Transaction) error {
		if len(tx.Messages) > 0 && tx.Messages[0].ID == "a" {
			<-time.After(1200 * time.Millisecond)
		}
		return nil
	})
	c := s.conn(t)
	s.run(t, c, insertSQL("a"), insertSQL("b"))
	k.untilID(t, "b")
	// Nor is a source with nothing to say.
	<-time.After(700 * time.Millisecond)
	s.run(t, c, insertSQL("c"))
	k.untilID(t, "c")
	_ = k.stop()
}

// binlogPaused: a server that falls silent is noticed, and taken up again.
func binlogPaused(t *testing.T, s *binlogSource) {
	lost := make(chan error, 100)
	r := s.reader(t, func(c *binlog.Config) { quick(c); c.Hooks.Disconnected = func(err error) { lost <- err } })
	k := stream(t, r, begin(t, r), nil)
	c := s.conn(t)
	s.run(t, c, insertSQL("a"))
	k.untilID(t, "a")
	must(t, s.srv.Pause())
	<-lost
	must(t, s.srv.Resume())
	s.run(t, c, insertSQL("b"))
	k.untilID(t, "b")
	if got := k.ids(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
}

// binlogWays: over TLS, and over the socket.
func binlogWays(t *testing.T, s *binlogSource) {
	ways := map[string]func(*binlog.Config){
		"tls":    func(c *binlog.Config) { c.TLS = &tls.Config{InsecureSkipVerify: true} },
		"socket": func(c *binlog.Config) { c.Addr = s.socket(t) },
	}
	if s.srv.Flavor() == dbserver.MariaDB && querySQL(t, s.db, "SELECT @@have_ssl") != "YES" {
		delete(ways, "tls") // before 11.4 it makes no certificate by itself
	}
	for name, change := range ways {
		r := s.reader(t, change)
		k := stream(t, r, begin(t, r), nil)
		s.run(t, s.conn(t), insertSQL(name))
		k.untilID(t, name)
		_ = k.stop()
	}
}

func (s *binlogSource) socket(t *testing.T) string {
	path := querySQL(t, s.db, "SELECT @@socket")
	if path[0] != '/' {
		path = querySQL(t, s.db, "SELECT @@datadir") + path
	}
	return path
}

// binlogTags: tagged and untagged transactions, resumed in between.
func binlogTags(t *testing.T, s *binlogSource) {
	if !testdb.HasTags(s.srv) {
		return
	}
	c := s.conn(t)
	r := s.reader(t, nil)
	pos := begin(t, r)
	s.run(t, c, insertSQL("a"), "SET SESSION gtid_next='AUTOMATIC:app'", insertSQL("b"), "SET SESSION gtid_next='AUTOMATIC'", insertSQL("c"),
		"SET SESSION gtid_next='AUTOMATIC:web'", insertSQL("d"), "SET SESSION gtid_next='AUTOMATIC:app'", insertSQL("e"),
		"SET SESSION gtid_next='AUTOMATIC'", insertSQL("f"))
	var got []string
	one := errors.New("one is enough")
	for len(got) < 6 {
		n := 0
		k := stream(t, r, pos, func(*checkpoint.Transaction) error {
			if n++; n > 1 {
				return one
			}
			return nil
		})
		if len(got) == 5 {
			k.untilID(t, "f")
		} else if <-k.done; !errors.Is(k.err, one) {
			t.Fatal(k.err)
		}
		_ = k.stop()
		got = append(got, k.ids()...)
		pos = k.position()
		must(t, r.Verify(t.Context(), pos))
	}
	if !slices.Equal(got, []string{"a", "b", "c", "d", "e", "f"}) {
		t.Errorf("got %v", got)
	}
	s.samePosition(t, pos)
}

// binlogMoved: a replica that has the position's history takes over from the
// server that it was made of; one that has not does not.
func binlogMoved(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	pos := begin(t, r)
	fresh, db := startDB(t, dbserver.Options{Flavor: s.srv.Flavor(), Args: []string{"--server-id=2"}})
	other := newBinlogSource(t, fresh, db, s.schema)
	r = other.reader(t, nil)
	wantHalt(t, r.Verify(t.Context(), pos), binlog.ErrForeign)

	// It is given the same history: as after a restore of a backup.
	execSQL(t, db, testdb.ResetBinlogs(fresh))
	if s.srv.Flavor() == dbserver.MySQL {
		execSQL(t, db, "SET GLOBAL gtid_purged='"+pos.Resume.String()+"'")
	} else {
		execSQL(t, db, "SET GLOBAL gtid_binlog_state='"+pos.Resume.String()+"'")
	}
	must(t, r.Verify(t.Context(), pos))
	k := stream(t, r, pos, nil)
	other.run(t, other.conn(t), insertSQL("a"))
	k.untilID(t, "a")
	_ = k.stop()
	other.samePosition(t, k.position())
}
