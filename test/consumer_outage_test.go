package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// waitingOnce gives every message one attempt only, and says when one waits.
func waitingOnce() (consumer.Config, chan error) {
	waits := make(chan error, 1000)
	cfg := consumerConfig()
	cfg.MaxDeliver = 1
	cfg.Hooks.Waiting = func(_ *consumer.Message, err error) { waits <- err }
	return cfg, waits
}

// consumerInboxMissing: whoever forgets the table loses nothing, not even attempts.
func consumerInboxMissing(t *testing.T, w *consumerWorld) {
	execSQL(t, w.db, "DROP TABLE inbox")
	w.publish(t, "1", "2")
	cfg, waits := waitingOnce()
	c, _ := w.run(t, cfg, effect)
	for range 3 {
		if err := <-waits; !strings.Contains(err.Error(), "inbox") {
			t.Errorf("the error does not name the table: %v", err)
		}
	}
	in, err := inbox.NewSQL(inbox.SQLConfig{})
	must(t, err)
	must(t, in.EnsureSchema(t.Context(), w.db))
	consumerEventually(t, "both handled", func() bool { return c.Stats().Handled == 2 })
	if s := c.Stats(); s.DeadLettered+s.Retried+s.Deferred > 0 {
		t.Errorf("got %+v", s)
	}
	w.wantEffects(t, 2)
}

// consumerDatabaseOutage: the consumer pauses, and can be stopped meanwhile.
func consumerDatabaseOutage(t *testing.T, w *consumerWorld) {
	must(t, w.server.Kill())
	w.publish(t, "1", "2", "3")
	cfg, waits := waitingOnce()
	c, stop := w.run(t, cfg, effect)
	<-waits
	must(t, stop())
	if s := c.Stats(); s.Deferred == 0 || s.DeadLettered+s.Retried+s.Handled > 0 {
		t.Errorf("got %+v", s)
	}
	c, _ = w.run(t, cfg, effect)
	for range 3 {
		<-waits
	}
	must(t, w.server.Restart(t.Context()))
	consumerEventually(t, "all handled", func() bool { return c.Stats().Handled == 3 })
	w.wantEffects(t, 3)
}

// consumerLeastPrivileges: INSERT and SELECT on the inbox are enough.
func consumerLeastPrivileges(t *testing.T, w *consumerWorld) {
	var schema string
	must(t, w.db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&schema))
	user := "u_" + schema
	execSQL(t, w.db, "CREATE USER "+user+"@'%' IDENTIFIED BY 'secret'")
	execSQL(t, w.db, "GRANT INSERT, SELECT ON inbox TO "+user+"@'%'")
	execSQL(t, w.db, "GRANT INSERT ON effects TO "+user+"@'%'")
	db, err := sql.Open("mysql", strings.Replace(w.dsn, "root@", user+":secret@", 1))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	admin := w.db
	w.db = db
	w.publish(t, "1", "1")
	c, _ := w.run(t, consumerConfig(), effect)
	consumerEventually(t, "one run, one duplicate", func() bool { s := c.Stats(); return s.Handled == 1 && s.Duplicates == 1 })
	w.db = admin
	w.wantEffects(t, 1)
}

// consumerChaos: three processes' worth of workers, handlers that fail in every
// way, a broker that restarts and forgets the consumer: each effect once.
func consumerChaos(t *testing.T, w *consumerWorld) {
	const messages = 300
	for i := range messages {
		w.publish(t, fmt.Sprint(i))
		if i%3 == 0 {
			w.publish(t, fmt.Sprint(i))
		}
	}
	cfg := consumerConfig()
	cfg.Concurrency, cfg.MaxDeliver = 4, consumer.NoLimit
	for range 3 {
		w.run(t, cfg, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
			if err := effect(ctx, tx, m); err != nil {
				return err
			}
			switch rand.IntN(12) {
			case 0:
				return errors.New("boom")
			case 1:
				panic("ouch")
			case 2:
				_, err := tx.ExecContext(ctx, "ROLLBACK")
				return err
			case 3:
				return tx.Rollback()
			case 4:
				return tx.Commit() // forbidden; the effect and its mark are there all the same
			}
			return nil
		})
	}
	handled := func() int {
		n, err := strconv.Atoi(querySQL(t, w.db, "SELECT COUNT(*) FROM inbox"))
		must(t, err)
		return n
	}
	consumerEventually(t, "some are handled", func() bool { return handled() > messages/6 })
	w.nats.Restart()
	consumerEventually(t, "half are handled", func() bool { return handled() > messages/2 })
	must(t, w.js.DeleteConsumer(t.Context(), "OUTBOX", "c"))
	consumerEventually(t, "all are settled", func() bool {
		c, err := w.js.Consumer(t.Context(), "OUTBOX", "c")
		if err != nil {
			return false
		}
		i := c.CachedInfo()
		return i.NumPending == 0 && i.NumAckPending == 0 && handled() == messages
	})
	w.wantEffects(t, messages)
}
