package test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
)

// TestPositionsSnapshotProgress: a snapshot says how far it is; in the middle of
// it every writer goes on; and one that was cut says from where it goes on.
func TestPositionsSnapshotProgress(t *testing.T) {
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
