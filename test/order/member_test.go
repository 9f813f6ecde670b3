package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/test/internal/testdb"
)

// memberEnv makes this program a member of the consumer instead of a test.
const memberEnv = "BINJET_TEST_ORDER_MEMBER"

func TestMain(m *testing.M) {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // lost connections are part of these tests
	if os.Getenv(memberEnv) == "" {
		os.Exit(testdb.Run(m))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	fmt.Println(memberIsUp)
	defer stop()
	if err := member(ctx); err != nil {
		slog.Error("the member failed", slog.Any("error", err))
		os.Exit(1)
	}
}

// heartbeat of every member: a take-over after a kill takes four or five.
const heartbeat = 100 * time.Millisecond

// member consumes until ctx ends.
func member(ctx context.Context) error {
	db, err := sql.Open(os.Getenv("DRIVER"), os.Getenv("DSN"))
	if err != nil {
		return err
	}
	defer db.Close()
	dialect, err := strconv.Atoi(os.Getenv("DIALECT"))
	if err != nil {
		return err
	}
	in, err := inbox.NewSQL(inbox.SQLConfig{Dialect: inbox.Dialect(dialect)})
	if err != nil {
		return err
	}
	nc, err := nats.Connect(os.Getenv("NATS"), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c, err := consumer.New(js, consumer.Config{
		Name: "c", Ordered: consumer.ByKey, Heartbeat: heartbeat, TxInbox: in,
		MaxDeliver: consumer.NoLimit, MaxBytes: 20_000, MaxAckPending: 200,
		Backoff:      consumer.Backoff{Min: 10 * time.Millisecond, Max: 500 * time.Millisecond},
		DrainTimeout: 10 * time.Second,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	h := handler{db: db, next: os.Getenv("NEXT"), insert: os.Getenv("INSERT"), violation: os.Getenv("VIOLATION")}
	c.HandleTx(">", db, h.handle)
	return c.Run(ctx)
}

// handler has the statements of one kind of database.
type handler struct {
	db                      *sql.DB
	next, insert, violation string
}

// handle moves the key on by one, which works for its next message only. A
// message that comes too early or again leaves a violation that no rollback takes back.
func (h handler) handle(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
	key, number, ok := strings.Cut(m.ID, ".")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || key != m.Key {
		return consumer.Discard(fmt.Errorf("message %q of key %q", m.ID, m.Key))
	}
	luck := rand.IntN(100)
	switch {
	case luck < 5:
		return errors.New("boom")
	case luck < 8:
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	}
	result, err := tx.ExecContext(ctx, h.next, n, key, n-1)
	if err != nil {
		return err
	}
	if moved, err := result.RowsAffected(); err != nil {
		return err
	} else if moved != 1 {
		_, err := h.db.ExecContext(ctx, h.violation, m.ID, fmt.Sprintf("pid %d, sequence %d, attempt %d", os.Getpid(), m.Sequence, m.Attempt))
		return errors.Join(errors.New("out of order"), err)
	}
	if _, err := tx.ExecContext(ctx, h.insert, m.ID, m.Sequence); err != nil {
		return err
	}
	switch {
	case luck < 11:
		return errors.New("boom, too late")
	case luck < 14:
		panic("ouch")
	case luck < 20:
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	return nil
}
