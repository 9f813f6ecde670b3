package test

import (
	"testing"
	"time"
)

// TestPositionsWhileAnAlterWaits: an ALTER TABLE of the outbox waits for a transaction,
// maybe one that is prepared and undecided for long, and whoever asks for the table
// waits behind it. A streamer that takes over meanwhile reads on.
func TestPositionsWhileAnAlterWaits(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		from := begin(t, s.reader(t, nil))
		s.insert(t, "a")
		holder, altering := s.conn(t), make(chan struct{})
		s.run(t, holder, "BEGIN", "SELECT COUNT(*) FROM "+s.schema+".outbox")
		go func() {
			defer close(altering)
			_, _ = s.db.ExecContext(t.Context(), "ALTER TABLE "+s.schema+".outbox ADD COLUMN note INT NULL")
		}()
		consumerEventually(t, "the ALTER waits", func() bool {
			var n int
			err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'").Scan(&n)
			return err == nil && n == 1
		})
		started := time.Now()
		must(t, s.reader(t, nil).Verify(t.Context(), from))
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("verified after %s", took)
		}
		s.read(t, from, "a")
		s.run(t, holder, "COMMIT")
		<-altering
	})
}
