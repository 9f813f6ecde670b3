package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumertest"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
)

// TestConsumerBatch runs HandleBatchTx on both flavours, under the connection
// flags that change what a statement of many rows is and what is said about it.
func TestConsumerBatch(t *testing.T) {
	t.Parallel()
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(flavor.String(), func(t *testing.T) {
			t.Parallel()
			s, admin := startDB(t, dbserver.Options{Flavor: flavor})
			for name, params := range map[string]string{"plain": "", "found rows": "?clientFoundRows=true&interpolateParams=true"} {
				t.Run(name, func(t *testing.T) { testConsumerBatch(t, s, admin, params) })
			}
		})
	}
}

func testConsumerBatch(t *testing.T, s *dbserver.Server, admin *sql.DB, params string) {
	tests := map[string]func(*testing.T, *consumerWorld){
		"duplicates": func(t *testing.T, w *consumerWorld) { batchDuplicates(t, w, consumerConfig()) },
		"poison":     batchPoison,
		"named":      batchNamed,
		"overlap":    func(t *testing.T, w *consumerWorld) { batchOverlap(t, w, consumerConfig()) },
	}
	if params == "" {
		maps.Copy(tests, map[string]func(*testing.T, *consumerWorld){
			"killed before the ack": batchKilledBeforeAck,
			"soak":                  consumerSoak,
			"deadlock":              func(t *testing.T, w *consumerWorld) { batchDeadlock(t, w, func(err error) error { return err }) },
			"deadlock swallowed":    func(t *testing.T, w *consumerWorld) { batchDeadlock(t, w, func(error) error { return nil }) },
			"duplicates in singles": func(t *testing.T, w *consumerWorld) { batchDuplicates(t, w, withoutBulk(t)) },
			"overlap in singles":    func(t *testing.T, w *consumerWorld) { batchOverlap(t, w, withoutBulk(t)) },
		})
	}
	n := 0
	for name, test := range tests {
		n++
		schema := fmt.Sprintf("b%d_%d", n, len(params))
		t.Run(name, func(t *testing.T) {
			execSQL(t, admin, "CREATE DATABASE "+schema)
			w := newConsumerWorld(t, s.DSN(schema)+params)
			w.server = s
			execSQL(t, w.db, "CREATE TABLE effects (id VARCHAR(64) NOT NULL, KEY (id)) ENGINE=InnoDB")
			test(t, w)
		})
	}
}

// withoutBulk is for an inbox that claims one message at a time.
func withoutBulk(t *testing.T) consumer.Config {
	in, err := inbox.NewSQL(inbox.SQLConfig{})
	must(t, err)
	cfg := consumerConfig()
	cfg.TxInbox = struct{ inbox.Tx }{in}
	return cfg
}

// effects inserts the IDs of all messages at once.
func effects(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
	args := make([]any, len(msgs))
	for i, m := range msgs {
		args[i] = m.ID
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO effects (id) VALUES (?)"+strings.Repeat(", (?)", len(msgs)-1), args...)
	return err
}

// upTo is a batch that is full with n messages and waits for them.
func upTo(n int) consumer.BatchOptions {
	return consumer.BatchOptions{MaxMessages: n, MaxWait: time.Minute}
}

func (w *consumerWorld) runBatch(t *testing.T, cfg consumer.Config, opts consumer.BatchOptions, h consumer.TxBatchHandler) *consumer.Consumer {
	t.Helper()
	c, err := consumer.New(w.js, cfg)
	must(t, err)
	c.HandleBatchTx("things", w.db, opts, h)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	return c
}

func (w *consumerWorld) publishMany(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		w.publish(t, fmt.Sprint(i))
	}
}

// batchDuplicates: what one process handled before is mixed with what is fresh,
// and with copies, in the same batches.
func batchDuplicates(t *testing.T, w *consumerWorld, cfg consumer.Config) {
	w.publish(t, "7", "3", "11")
	c, stop := w.run(t, cfg, effect)
	consumerEventually(t, "three are known", func() bool { return c.Stats().Handled == 3 })
	must(t, stop())
	w.publishMany(t, 0, 15)
	w.publish(t, "14", "2", "20", "20", "19")
	sizes := make(chan int, 10)
	c = w.runBatch(t, cfg, upTo(10), func(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
		sizes <- len(msgs)
		return effects(ctx, tx, msgs)
	})
	consumerEventually(t, "all are handled or known", func() bool { s := c.Stats(); return s.Handled == 14 && s.Duplicates == 6 })
	// 0 to 9 without 3 and 7; 10 to 14, 20 and 19 without 11, and without the copies.
	if first, second := <-sizes, <-sizes; first != 8 || second != 6 || len(sizes) > 0 {
		t.Errorf("the handler got %d, then %d messages, and %d more batches", first, second, len(sizes))
	}
	w.wantEffects(t, 17)
}

const killedBatch = "BINJET_TEST_CONSUMER_BATCH"

// TestConsumerBatchKilledHelper is the program that batchKilledBeforeAck runs: it
// kills itself when its first batch is committed and half of it is acknowledged.
func TestConsumerBatchKilledHelper(t *testing.T) {
	if os.Getenv(killedBatch) == "" {
		return // it is nothing by itself
	}
	db, err := sql.Open("mysql", os.Getenv(killedDSN))
	must(t, err)
	nc, err := nats.Connect(os.Getenv(killedNATS))
	must(t, err)
	js, err := jetstream.New(nc)
	must(t, err)
	settled := 0
	cfg := consumerConfig()
	cfg.Hooks.BeforeSettle = func(*consumer.Message, consumer.Outcome) {
		if settled++; settled == 11 {
			must(t, nc.Flush())
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	c, err := consumer.New(js, cfg)
	must(t, err)
	c.HandleBatchTx("things", db, upTo(20), effects)
	must(t, c.Run(t.Context()))
}

func batchKilledBeforeAck(t *testing.T, w *consumerWorld) {
	w.publishMany(t, 0, 40)
	cmd := exec.Command(os.Args[0], "-test.run=^TestConsumerBatchKilledHelper$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), killedBatch+"=1", killedDSN+"="+w.dsn, killedNATS+"="+w.nats.URL())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the helper ended with %v, not by SIGKILL: %s", err, out)
	}
	w.wantEffects(t, 20) // committed, half of them not acknowledged
	c := w.runBatch(t, consumerConfig(), consumer.BatchOptions{MaxMessages: 20, MaxWait: time.Millisecond}, effects)
	consumerEventually(t, "ten are known, the rest is handled", func() bool { s := c.Stats(); return s.Duplicates == 10 && s.Handled == 20 })
	w.wantEffects(t, 40)
}

// batchPoison: one of 100 always fails; it alone dies, after its attempts.
func batchPoison(t *testing.T, w *consumerWorld) {
	w.publishMany(t, 0, 100)
	cfg := consumerConfig()
	cfg.MaxDeliver = 2
	var runs atomic.Int64
	c := w.runBatch(t, cfg, upTo(100), func(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
		runs.Add(1)
		if err := effects(ctx, tx, msgs); err != nil {
			return err
		}
		for _, m := range msgs {
			if m.ID == "42" {
				panic("ouch")
			}
		}
		return nil
	})
	consumerEventually(t, "99 are handled, one is dead", func() bool { s := c.Stats(); return s.Handled == 99 && s.DeadLettered == 1 })
	w.wantEffects(t, 99)
	if n := runs.Load(); n > 2*7+2 { // halving 100 down to one, and the retry
		t.Errorf("the handler ran %d times", n)
	}
	dlq, err := w.js.Stream(t.Context(), "OUTBOX_DLQ")
	must(t, err)
	m, err := dlq.GetMsg(t.Context(), 1)
	must(t, err)
	if m.Header.Get(binjet.HeaderID) != "42" || m.Header.Get(binjet.HeaderDeadAttempts) != "2" {
		t.Errorf("the dead letter is %v", m.Header)
	}
}

// batchNamed: the handler says which messages are bad; what it did for them is
// undone, and what it did for the others is done.
func batchNamed(t *testing.T, w *consumerWorld) {
	w.publishMany(t, 0, 20)
	cfg := consumerConfig()
	cfg.MaxDeliver = 2
	var runs atomic.Int64
	c := w.runBatch(t, cfg, upTo(20), func(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
		runs.Add(1)
		failed := consumer.BatchError{}
		for _, m := range msgs {
			switch m.ID {
			case "3":
				failed[m.ID] = consumer.Discard(errors.New("no use"))
			case "8":
				failed[m.ID] = errors.New("boom")
			}
		}
		if err := effects(ctx, tx, msgs); err != nil {
			return err
		}
		if len(failed) == 0 {
			return nil
		}
		return failed
	})
	consumerEventually(t, "18 are handled, two are dead", func() bool { s := c.Stats(); return s.Handled == 18 && s.DeadLettered == 2 })
	w.wantEffects(t, 18)
	if n := runs.Load(); n != 3 { // with them, without them, the retry of one
		t.Errorf("the handler ran %d times", n)
	}
}

// batchDeadlock: the server chooses the handler's transaction as the victim.
// answer is what the handler makes of the error.
func batchDeadlock(t *testing.T, w *consumerWorld, answer func(error) error) {
	execSQL(t, w.db, "CREATE TABLE accounts (id INT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB")
	execSQL(t, w.db, "INSERT INTO accounts VALUES (1, 0), (2, 0)")
	execSQL(t, w.db, "CREATE TABLE weight (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB")
	other, err := w.db.BeginTx(t.Context(), nil)
	must(t, err)
	defer other.Rollback()
	_, err = other.ExecContext(t.Context(), "INSERT INTO weight (id) VALUES (NULL)"+strings.Repeat(", (NULL)", 500))
	must(t, err) // the lighter one is the victim
	_, err = other.ExecContext(t.Context(), "UPDATE accounts SET n = n + 1 WHERE id = 2")
	must(t, err)
	w.publishMany(t, 0, 10)
	locked, asked := make(chan struct{}), make(chan error, 1)
	var first sync.Once
	var deadlocks atomic.Int64
	c := w.runBatch(t, consumerConfig(), upTo(10), func(ctx context.Context, tx *sql.Tx, msgs []*consumer.Message) error {
		if err := effects(ctx, tx, msgs); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE accounts SET n = n + ? WHERE id = 1", len(msgs)); err != nil {
			return err
		}
		first.Do(func() { close(locked) })
		_, err := tx.ExecContext(ctx, "UPDATE accounts SET n = n + ? WHERE id = 2", len(msgs))
		if err != nil && strings.Contains(err.Error(), "1213") {
			deadlocks.Add(1)
			return answer(err)
		}
		return err
	})
	<-locked
	go func() {
		_, err := other.ExecContext(context.Background(), "UPDATE accounts SET n = n + 1 WHERE id = 1")
		if err == nil {
			err = other.Commit()
		}
		asked <- err
	}()
	must(t, <-asked)
	consumerEventually(t, "all are handled", func() bool { return c.Stats().Handled == 10 })
	if deadlocks.Load() != 1 {
		t.Errorf("%d deadlocks, want 1", deadlocks.Load())
	}
	if s := c.Stats(); s.Retried+s.Duplicates > 0 {
		t.Errorf("got %+v", s)
	}
	w.wantEffects(t, 10)
	wantSQL(t, w.db, "SELECT SUM(n) FROM accounts", "22")
}

// batchOverlap: two processes get batches with the same IDs in different orders
// at the same time.
func batchOverlap(t *testing.T, w *consumerWorld, cfg consumer.Config) {
	const ids, copies = 120, 3
	for range copies {
		for _, i := range rand.Perm(ids) {
			w.publish(t, fmt.Sprint(i))
		}
	}
	cfg.Concurrency = 2
	opts := consumer.BatchOptions{MaxMessages: 40, MaxWait: time.Millisecond}
	var all []*consumer.Consumer
	for range 2 {
		all = append(all, w.runBatch(t, cfg, opts, effects))
	}
	total := func() (s consumer.Stats) {
		for _, c := range all {
			one := c.Stats()
			s.Handled += one.Handled
			s.Duplicates += one.Duplicates
			s.Retried += one.Retried
		}
		return s
	}
	consumerEventually(t, "all are handled or known", func() bool { s := total(); return s.Handled+s.Duplicates == ids*copies })
	if s := total(); s.Handled != ids || s.Retried > 0 {
		t.Errorf("got %+v", s)
	}
	w.wantEffects(t, ids)
}

// consumerSoak is consumertest on a real database: whatever fails, panics or comes
// twice, each effect is there once.
func consumerSoak(t *testing.T, w *consumerWorld) {
	in, err := inbox.NewSQL(inbox.SQLConfig{})
	must(t, err)
	cfg := consumerConfig()
	cfg.TxInbox, cfg.MaxDeliver = in, consumer.NoLimit
	var msgs []*consumer.Message
	for i := range 40 {
		msgs = append(msgs, &consumer.Message{Message: binjet.Message{ID: fmt.Sprint(i), Topic: "things"}})
	}
	chaos := consumertest.Chaos{Fail: 0.2, FailAfter: 0.3, Panic: 0.1, Duplicate: 0.5, Reorder: 0.5}
	for i, out := range (consumertest.Runner{Config: cfg}).SoakTx(t, chaos, w.db, effect, msgs...) {
		if out.Kind != consumer.Handled {
			t.Errorf("message %d ended %s: %v", i, out.Kind, out.Err)
		}
	}
	w.wantEffects(t, 40)
}
