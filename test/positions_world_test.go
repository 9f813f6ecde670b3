package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// eachFlavor runs test on a server of its own of each flavour.
func eachFlavor(t *testing.T, test func(*testing.T, *binlogSource)) {
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor, Args: []string{"--log-slave-updates=1"}})
			test(t, newBinlogSource(t, srv, db, "shop"))
		})
	}
}

// read streams from a position until a message came, and returns the position then.
func (s *binlogSource) read(t *testing.T, from checkpoint.Position, id string) checkpoint.Position {
	t.Helper()
	k := stream(t, s.reader(t, nil), from, nil)
	k.untilID(t, id)
	_ = k.stop()
	return k.position()
}

// insert commits one event.
func (s *binlogSource) insert(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		execSQL(t, s.db, strings.Replace(insertSQL(id), "outbox", s.schema+".outbox", 1))
	}
}

// backup kills the server, copies its data, and starts it again.
func (s *binlogSource) backup(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	must(t, s.srv.Kill())
	s.copyData(t, filepath.Join(s.srv.Dir(), "data"), dir)
	must(t, s.srv.Restart(t.Context()))
	return dir
}

// restore kills the server and starts it on the data of a backup, with more options.
func (s *binlogSource) restore(t *testing.T, dir string, args ...string) {
	t.Helper()
	data := filepath.Join(s.srv.Dir(), "data")
	must(t, s.srv.Kill())
	must(t, os.RemoveAll(data))
	s.copyData(t, dir, data)
	must(t, s.srv.Restart(t.Context(), args...))
}

func (s *binlogSource) copyData(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", "--sparse=always", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
}

// replica is a fresh server that replicates s, and the same outbox on it.
func (s *binlogSource) replica(t *testing.T) *binlogSource {
	t.Helper()
	srv, db := startDB(t, dbserver.Options{Flavor: s.srv.Flavor(), Args: []string{"--server-id=2", "--log-slave-updates=1"}})
	host, port, _ := strings.Cut(s.srv.Addr(), ":")
	if s.srv.Flavor() == dbserver.MySQL {
		execSQL(t, db, fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_PORT=%s, SOURCE_USER='root', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1", host, port))
		execSQL(t, db, "START REPLICA")
	} else {
		execSQL(t, db, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%s, MASTER_USER='root', MASTER_USE_GTID=slave_pos", host, port))
		execSQL(t, db, "START SLAVE")
	}
	return &binlogSource{srv: srv, db: db, schema: s.schema}
}

// replicate runs STOP or START on a replica: both of its threads, or one.
func (s *binlogSource) replicate(t *testing.T, verb, thread string) {
	t.Helper()
	what := " REPLICA "
	if s.srv.Flavor() == dbserver.MariaDB {
		what = " SLAVE "
	}
	execSQL(t, s.db, verb+what+thread)
}

// untilRow waits until a replica has applied an event.
func (s *binlogSource) untilRow(t *testing.T, id string) {
	t.Helper()
	consumerEventually(t, "row "+id+" on the replica", func() bool {
		var n int
		err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+s.schema+".outbox WHERE id=?", id).Scan(&n)
		return err == nil && n == 1
	})
}

// refused wants neither Verify nor Stream to go on from p.
func (s *binlogSource) refused(t *testing.T, p checkpoint.Position, is error, words ...string) {
	t.Helper()
	r := s.reader(t, nil)
	wantHalt(t, r.Verify(t.Context(), p), is, words...)
	err := r.Stream(context.WithoutCancel(t.Context()), p, func(tx *checkpoint.Transaction) error {
		return fmt.Errorf("yielded %s", tx.GTID)
	})
	wantHalt(t, err, is, words...)
}

// patient waits for a replica.
func patient(c *binlog.Config) { quick(c); c.FailoverWait = 0 }
