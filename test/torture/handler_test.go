package torture

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// runHandler is a member of the consumer. Its effect is one row for each event, in a
// table that forbids nothing: a second row, or one out of order, is there to be seen.
func runHandler() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := sql.Open("mysql", os.Getenv("DSN"))
	if err != nil {
		return err
	}
	defer db.Close()
	marks, err := inbox.NewSQL(inbox.SQLConfig{Dialect: inbox.MySQL})
	if err != nil {
		return err
	}
	var in inbox.Tx = marks
	if os.Getenv(mutantEnv) == earlyMark {
		in = early{db, marks}
	}
	nc, err := nats.Connect(os.Getenv("NATS"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.PingInterval(time.Second), nats.MaxPingsOutstanding(3), nats.IgnoreAuthErrorAbort())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c, err := consumer.New(js, consumer.Config{
		Name: "torture", Ordered: consumer.ByKey, Heartbeat: 200 * time.Millisecond, TxInbox: in, MaxDeliver: consumer.NoLimit,
		Backoff: consumer.Backoff{Min: 10 * time.Millisecond, Max: 500 * time.Millisecond}, DrainTimeout: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Hooks: consumer.Hooks{BeforeSettle: dieNowAndThen},
	})
	if err != nil {
		return err
	}
	c.HandleTx(">", db, handle)
	return c.Run(ctx)
}

// dieNowAndThen kills this process between the commit of an effect and its acknowledgement.
func dieNowAndThen(*consumer.Message, consumer.Outcome) {
	if rand.IntN(4000) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}

// handle fails, panics, hangs and takes its time now and then, before and after its effect.
func handle(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
	luck := rand.IntN(1000)
	switch {
	case rand.IntN(8000) == 0: // it hangs, and hears nobody who tells it to stop
		<-time.After(3 * time.Second)
	case luck < 10:
		return errors.New("no luck")
	case luck < 15:
		panic("bad luck")
	case luck < 20:
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO effects (id, message_key, seq) VALUES (?, ?, ?)", m.ID, m.Key, m.Sequence)
	if err == nil && luck > 990 {
		return errors.New("no luck in the end")
	}
	return err
}

// earlyMark is the mutant that several libraries are: a message is marked as handled
// before it is.
const earlyMark = "mark early"

type early struct {
	db *sql.DB
	inbox.Tx
}

// Claim commits the mark by itself.
func (e early) Claim(ctx context.Context, _ *sql.Tx, consumer, id string) error {
	tx, err := e.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := e.Tx.Claim(ctx, tx, consumer, id); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Confirm finds nothing amiss.
func (early) Confirm(context.Context, *sql.Tx, string, string) error { return nil }
