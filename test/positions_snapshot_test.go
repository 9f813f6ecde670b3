package test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// TestPositionsSnapshotProgress: a snapshot says how far it is; in the middle of
// it every writer goes on; and one that was cut says from where it goes on.
func TestPositionsSnapshotProgress(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		s.digits(t)
		c := s.conn(t)
		s.run(t, c, fillSQL("m", 3, 100), fillSQL("n", 3, 100), "ANALYZE TABLE outbox", "SET SESSION lock_wait_timeout=1", "SET SESSION innodb_lock_wait_timeout=1")
		var log bytes.Buffer
		r := s.reader(t, func(c *binlog.Config) {
			c.Start, c.Logger = binlog.StartSnapshot, slog.New(slog.NewTextHandler(&log, nil))
		})
		cut := errors.New("cut")
		k := stream(t, r, begin(t, r), func(tx *checkpoint.Transaction) error {
			if tx.Snapshot.Rows != 1000 {
				return nil
			}
			// The snapshot is open and waits for us: a lock of it would keep these out.
			for _, q := range []string{insertSQL("o"), "BEGIN", insertSQL("p", "q"), "COMMIT"} {
				if _, err := c.ExecContext(t.Context(), q); err != nil {
					t.Errorf("%s: %v", q, err)
				}
			}
			return cut
		})
		if <-k.done; !errors.Is(k.err, cut) {
			t.Fatal(k.err)
		}
		pos := k.position()
		if p := pos.Snapshot; p == nil || p.Rows != 500 || p.Estimate < 1000 || p.Estimate > 4000 {
			t.Errorf("progress %+v", p)
		}
		log.Reset()
		k = stream(t, r, pos, nil)
		k.untilSnapshot(t)
		_ = k.stop()
		for _, words := range []string{"going on with a snapshot that was cut", "after=m499 rows=500", "the snapshot is published"} {
			if !strings.Contains(log.String(), words) {
				t.Errorf("no %q in %s", words, &log)
			}
		}
		if got := k.ids(); slices.Contains(got, "o") || !slices.Contains(got, "m500") || slices.Contains(got, "m499") {
			t.Errorf("%d rows", len(got))
		}
	})
}

// TestPositionsSnapshotGivesWay: a statement that changes the table waits for the
// snapshot, and a writer waits behind it. Both get through while the snapshot still
// waits for the broker; then it goes on, with each row once.
func TestPositionsSnapshotGivesWay(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		s.digits(t)
		c, changer := s.conn(t), s.conn(t)
		s.run(t, c, fillSQL("m", 3, 100))
		lost := make(chan error, 100)
		r := s.reader(t, func(c *binlog.Config) {
			c.Start = binlog.StartSnapshot
			c.Hooks.Disconnected = func(err error) { lost <- err }
		})
		opened, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		k := stream(t, r, begin(t, r), func(*checkpoint.Transaction) error {
			once.Do(func() { close(opened); <-release })
			return nil
		})
		<-opened
		changed := make(chan error, 1)
		go func() {
			_, err := changer.ExecContext(t.Context(), "ALTER TABLE outbox ADD note INT, ALGORITHM=COPY")
			changed <- err
		}()
		s.untilWaiting(t, "ALTER TABLE outbox")
		wrote := make(chan error, 1)
		go func() {
			_, err := c.ExecContext(t.Context(), insertSQL("o"))
			wrote <- err
		}()
		s.untilWaiting(t, "INSERT INTO outbox")
		must(t, <-changed)
		must(t, <-wrote)
		close(release)
		if err := <-lost; !strings.Contains(err.Error(), "gave way") {
			t.Errorf("lost by %v", err)
		}
		k.untilID(t, "o")
		if got := k.ids(); !slices.Equal(got, append(numbered("m", 3), "o")) {
			t.Errorf("%d rows, or their order", len(got))
		}
	})
}

// TestPositionsSnapshotAndOpenTransaction: a transaction that wrote an outbox row
// stays open. MySQL's snapshot waits for it, but keeps no other writer waiting
// until it ends; MariaDB's needs no lock and begins at once.
func TestPositionsSnapshotAndOpenTransaction(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		long, c := s.conn(t), s.conn(t)
		s.insert(t, "a")
		s.run(t, long, "BEGIN", insertSQL("long"))
		lost := make(chan error, 1000)
		r := s.reader(t, func(c *binlog.Config) {
			c.Start = binlog.StartSnapshot
			c.Hooks.Disconnected = func(err error) { lost <- err }
		})
		k := stream(t, r, begin(t, r), nil)
		if s.srv.Flavor() == dbserver.MySQL {
			s.untilWaiting(t, "LOCK TABLES")
			s.run(t, c, insertSQL("b")) // it waits behind the lock at most until that gives up
			if err := <-lost; !strings.Contains(err.Error(), "stays open") {
				t.Errorf("lost by %v", err)
			}
			s.run(t, c, insertSQL("c"))
			s.run(t, long, "COMMIT")
			k.untilSnapshot(t)
		} else {
			k.untilSnapshot(t)
			s.run(t, c, insertSQL("b", "c"))
			s.run(t, long, "COMMIT")
			if len(lost) > 0 {
				t.Errorf("lost by %v", <-lost)
			}
		}
		s.run(t, c, insertSQL("z"))
		k.untilID(t, "z")
		_ = k.stop()
		exactly(t, k.ids(), []string{"a", "b", "c", "long", "z"})
	})
}
