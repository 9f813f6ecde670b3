package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
)

// TestConsumer runs HandleTx on both flavours, under the connection flags that
// change how statements are sent and what the server answers.
func TestConsumer(t *testing.T) {
	t.Parallel()
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(flavor.String(), func(t *testing.T) {
			t.Parallel()
			s, admin := startDB(t, dbserver.Options{Flavor: flavor})
			for name, params := range map[string]string{"plain": "", "found rows": "?clientFoundRows=true", "interpolated": "?interpolateParams=true"} {
				t.Run(name, func(t *testing.T) { testConsumer(t, s, admin, params) })
			}
		})
	}
}

func testConsumer(t *testing.T, s *dbserver.Server, admin *sql.DB, params string) {
	n := 0
	for name, test := range map[string]func(*testing.T, *consumerWorld){
		"duplicates":               consumerDuplicates,
		"copy waits for commit":    consumerCopyWaitsForCommit,
		"copy goes on on rollback": consumerCopyGoesOnOnRollback,
		"lock wait timeout":        consumerLockWaitTimeout,
		"read uncommitted":         consumerReadUncommitted,
		"failures":                 consumerFailures,
		"lost transaction":         consumerLostTransaction,
		"lost connection":          consumerLostConnection,
		"killed before the ack":    consumerKilledBeforeAck,
		"broker restart":           consumerBrokerRestart,
		"drain":                    consumerDrain,
		"inbox is missing":         consumerInboxMissing,
		"database outage":          consumerDatabaseOutage,
		"least privileges":         consumerLeastPrivileges,
		"chaos":                    consumerChaos,
		"dead letters":             consumerDeadLetters,
	} {
		n++
		schema := fmt.Sprintf("c%d_%d", n, len(params))
		t.Run(name, func(t *testing.T) {
			execSQL(t, admin, "CREATE DATABASE "+schema+" CHARACTER SET latin1") // must not matter
			w := newConsumerWorld(t, s.DSN(schema)+params)
			w.server = s
			execSQL(t, w.db, "CREATE TABLE effects (id VARCHAR(64) NOT NULL, KEY (id)) ENGINE=InnoDB")
			test(t, w)
		})
	}
}

func consumerDuplicates(t *testing.T, w *consumerWorld) {
	for i := range 60 { // copies next to each other and far apart
		w.publish(t, fmt.Sprint(i), fmt.Sprint(i))
	}
	for i := range 60 {
		w.publish(t, fmt.Sprint(i))
	}
	cfg := consumerConfig()
	cfg.Concurrency = 8
	c, _ := w.run(t, cfg, effect)
	consumerEventually(t, "all are handled or known", func() bool {
		s := c.Stats()
		return s.Handled == 60 && s.Duplicates == 120
	})
	w.wantEffects(t, 60)
}

// holdFirst is a handler whose first run has done its effect when held says so,
// and ends with what it is told.
func holdFirst() (h consumer.TxHandler, held chan struct{}, end chan error) {
	held, end = make(chan struct{}), make(chan error)
	var first sync.Once
	return func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
		if err := effect(ctx, tx, m); err != nil {
			return err
		}
		var err error
		first.Do(func() {
			close(held)
			select {
			case err = <-end:
			case <-ctx.Done(): // the test has failed
				err = ctx.Err()
			}
		})
		return err
	}, held, end
}

// waitBlocked waits until a second copy is inside its claim, where it stays
// while the first one holds the mark. The process list says so at once;
// innodb_trx does not change while it is read more often than every 100 ms.
func (w *consumerWorld) waitBlocked(t *testing.T) {
	t.Helper()
	consumerEventually(t, "the second copy waits for the first", func() bool {
		return querySQL(t, w.db, `SELECT COUNT(*) FROM information_schema.processlist
			WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE 'INSERT INTO %inbox%'`) != "0"
	})
}

func consumerCopyWaitsForCommit(t *testing.T, w *consumerWorld) {
	h, held, end := holdFirst()
	cfg := consumerConfig()
	cfg.Concurrency = 2
	w.publish(t, "same", "same")
	c, _ := w.run(t, cfg, h)
	<-held
	w.waitBlocked(t)
	end <- nil
	consumerEventually(t, "one run, one duplicate", func() bool { s := c.Stats(); return s.Handled == 1 && s.Duplicates == 1 })
	w.wantEffects(t, 1)
}

func consumerCopyGoesOnOnRollback(t *testing.T, w *consumerWorld) {
	h, held, end := holdFirst()
	cfg := consumerConfig()
	cfg.Concurrency = 2
	cfg.Backoff = consumer.Backoff{Min: time.Second, Max: time.Second}
	w.publish(t, "same", "same")
	c, _ := w.run(t, cfg, h)
	<-held
	w.waitBlocked(t)
	end <- errors.New("boom")
	consumerEventually(t, "the waiting copy is handled, the failed one known later", func() bool {
		s := c.Stats()
		return s.Retried == 1 && s.Handled == 1 && s.Duplicates == 1
	})
	w.wantEffects(t, 1)
}

func consumerLockWaitTimeout(t *testing.T, w *consumerWorld) { w.testLockWait(t, nil) }

// consumerReadUncommitted: a second copy may not take the first one's
// uncommitted mark for a proof.
func consumerReadUncommitted(t *testing.T, w *consumerWorld) {
	w.testLockWait(t, &sql.TxOptions{Isolation: sql.LevelReadUncommitted})
}

func (w *consumerWorld) testLockWait(t *testing.T, opts *sql.TxOptions) {
	execSQL(t, w.db, "SET GLOBAL innodb_lock_wait_timeout = 1")
	defer execSQL(t, w.db, "SET GLOBAL innodb_lock_wait_timeout = DEFAULT")
	w.db.SetMaxIdleConns(0) // so that new connections have it
	h, held, end := holdFirst()
	cfg := consumerConfig()
	cfg.Concurrency, cfg.TxOptions = 2, opts
	waits := make(chan error, 100)
	cfg.Hooks.Waiting = func(_ *consumer.Message, err error) { waits <- err }
	w.publish(t, "same", "same")
	c, _ := w.run(t, cfg, h)
	<-held
	if err := <-waits; !strings.Contains(err.Error(), "1205") {
		t.Errorf("the waiting copy got %v, want a lock wait timeout", err)
	}
	if s := c.Stats(); s.Duplicates > 0 {
		t.Errorf("an uncommitted mark was taken for a duplicate: %+v", s)
	}
	end <- nil
	consumerEventually(t, "one run, one duplicate", func() bool { s := c.Stats(); return s.Handled == 1 && s.Duplicates == 1 })
	w.wantEffects(t, 1)
}

func consumerFailures(t *testing.T, w *consumerWorld) {
	w.publish(t, "fails", "panics", "good")
	c, _ := w.run(t, consumerConfig(), func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
		if err := effect(ctx, tx, m); err != nil {
			return err
		}
		switch {
		case m.ID == "fails" && m.Attempt < 3:
			return errors.New("boom")
		case m.ID == "panics" && m.Attempt < 3:
			panic("ouch")
		}
		return nil
	})
	consumerEventually(t, "all handled", func() bool { return c.Stats().Handled == 3 })
	if s := c.Stats(); s.Retried != 4 {
		t.Errorf("%d retries, want 4", s.Retried)
	}
	w.wantEffects(t, 3)
}

// consumerLostTransaction: the server rolled back and the handler does not say
// so, as when it swallows the error of a deadlock.
func consumerLostTransaction(t *testing.T, w *consumerWorld) {
	w.publish(t, "1")
	lost := make(chan error, 10)
	cfg := consumerConfig()
	cfg.Hooks.AfterSettle = func(_ *consumer.Message, o consumer.Outcome) { lost <- o.Err }
	c, _ := w.run(t, cfg, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
		if err := effect(ctx, tx, m); err != nil || m.Attempt > 1 {
			return err
		}
		_, err := tx.ExecContext(ctx, "ROLLBACK")
		return err
	})
	if err := <-lost; !errors.Is(err, inbox.ErrLost) {
		t.Errorf("the first attempt ended with %v, want ErrLost", err)
	}
	consumerEventually(t, "handled at the retry", func() bool { return c.Stats().Handled == 1 })
	w.wantEffects(t, 1)
}

func consumerLostConnection(t *testing.T, w *consumerWorld) {
	w.publish(t, "1", "2")
	c, _ := w.run(t, consumerConfig(), func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
		if err := effect(ctx, tx, m); err != nil || m.Attempt > 1 {
			return err
		}
		var id int64
		if err := tx.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
			return err
		}
		_, err := w.db.ExecContext(ctx, fmt.Sprintf("KILL CONNECTION %d", id))
		return err
	})
	consumerEventually(t, "handled at the retry", func() bool { return c.Stats().Handled == 2 })
	w.wantEffects(t, 2)
}

const (
	killedDSN  = "BINJET_TEST_CONSUMER_DSN"
	killedNATS = "BINJET_TEST_CONSUMER_NATS"
)

// TestConsumerKilledHelper is the program that consumerKilledBeforeAck runs: it
// handles one message and kills itself after the commit, before the acknowledgement.
func TestConsumerKilledHelper(t *testing.T) {
	if os.Getenv(killedDSN) == "" {
		return // it is nothing by itself
	}
	db, err := sql.Open("mysql", os.Getenv(killedDSN))
	must(t, err)
	nc, err := nats.Connect(os.Getenv(killedNATS))
	must(t, err)
	js, err := jetstream.New(nc)
	must(t, err)
	cfg := consumerConfig()
	cfg.Hooks.BeforeSettle = func(_ *consumer.Message, o consumer.Outcome) {
		if o.Kind == consumer.Handled {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	c, err := consumer.New(js, cfg)
	must(t, err)
	c.HandleTx("things", db, effect)
	must(t, c.Run(t.Context()))
}

func consumerKilledBeforeAck(t *testing.T, w *consumerWorld) {
	w.publish(t, "1", "2")
	cmd := exec.Command(os.Args[0], "-test.run=^TestConsumerKilledHelper$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), killedDSN+"="+w.dsn, killedNATS+"="+w.nats.URL())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the helper ended with %v, not by SIGKILL: %s", err, out)
	}
	w.wantEffects(t, 1) // committed, not acknowledged
	c, _ := w.run(t, consumerConfig(), effect)
	consumerEventually(t, "the first is known, the second handled", func() bool {
		s := c.Stats()
		return s.Duplicates == 1 && s.Handled == 1
	})
	w.wantEffects(t, 2)
}

func consumerBrokerRestart(t *testing.T, w *consumerWorld) {
	for i := range 200 {
		w.publish(t, fmt.Sprint(i))
	}
	cfg := consumerConfig()
	cfg.Concurrency = 4
	c, _ := w.run(t, cfg, effect)
	consumerEventually(t, "some are handled", func() bool { return c.Stats().Handled >= 10 })
	w.nats.Restart()
	consumerEventually(t, "all are handled", func() bool { return c.Stats().Handled == 200 })
	w.wantEffects(t, 200)
}

func consumerDrain(t *testing.T, w *consumerWorld) {
	h, held, end := holdFirst()
	w.publish(t, "1", "2", "3")
	cfg := consumerConfig()
	cfg.AckWait = time.Hour // what is not handed back would stay away
	c, stop := w.run(t, cfg, h)
	<-held
	consumerEventually(t, "one is buffered", func() bool { return c.Stats().Held == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	consumerEventually(t, "the buffered one is handed back", func() bool { return c.Stats().Deferred == 1 })
	end <- nil
	must(t, <-stopped)
	w.wantEffects(t, 1)
	next, _ := w.run(t, cfg, effect)
	consumerEventually(t, "the next process handles the rest", func() bool { return next.Stats().Handled == 2 })
	w.wantEffects(t, 3)
}

func consumerDeadLetters(t *testing.T, w *consumerWorld) {
	w.publish(t, "fails", "discards", "good")
	cfg := consumerConfig()
	cfg.MaxDeliver = 3
	c, _ := w.run(t, cfg, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
		if err := effect(ctx, tx, m); err != nil {
			return err
		}
		switch m.ID {
		case "fails":
			return errors.New("boom")
		case "discards":
			return consumer.Discard(errors.New("no use"))
		}
		return nil
	})
	consumerEventually(t, "one handled, two dead", func() bool { s := c.Stats(); return s.Handled == 1 && s.DeadLettered == 2 })
	w.wantEffects(t, 1)
	dlq, err := w.js.Stream(t.Context(), "OUTBOX_DLQ")
	must(t, err)
	attempts := map[string]string{}
	for seq := uint64(1); seq <= 2; seq++ {
		m, err := dlq.GetMsg(t.Context(), seq)
		must(t, err)
		attempts[m.Header.Get(binjet.HeaderID)] = m.Header.Get(binjet.HeaderDeadAttempts)
	}
	if attempts["fails"] != "3" || attempts["discards"] != "1" {
		t.Errorf("attempts of the dead letters: %v", attempts)
	}
}
