package consumer_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
)

// noDB is a database that nobody can connect to.
type noDB struct{}

func (noDB) Connect(context.Context) (driver.Conn, error) { return nil, errors.New("no database") }
func (noDB) Driver() driver.Driver                        { return nil }

func openNoDB(t *testing.T) *sql.DB {
	db := sql.OpenDB(noDB{})
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// shortInbox remembers for a while, in transactions or not, and says when it is maintained.
type shortInbox struct {
	*inbox.Memory
	inbox.Tx
	retention  time.Duration
	maintained chan *sql.DB
	ended      chan string
}

func (s *shortInbox) Claim(ctx context.Context, consumer, id string) (inbox.Claim, error) {
	return s.Memory.Claim(ctx, consumer, id)
}

func (s *shortInbox) Retention() time.Duration { return s.retention }

// shortTxInbox is its other half.
type shortTxInbox struct{ *shortInbox }

func (s shortTxInbox) Claim(context.Context, *sql.Tx, string, string) error { return nil }

func (s shortTxInbox) Maintain(ctx context.Context, db *sql.DB, consumer string, _ *slog.Logger) {
	s.maintained <- db
	<-ctx.Done()
	s.ended <- consumer
}

func newShortInbox(retention time.Duration) *shortInbox {
	return &shortInbox{Memory: inbox.NewMemory(0), retention: retention, maintained: make(chan *sql.DB, 9), ended: make(chan string, 9)}
}

// lockedBuffer takes a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (w *world) maxAge(age time.Duration) {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), "OUTBOX")
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.MaxAge = age
	if _, err := w.js.UpdateStream(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
}

// TestRefusesAnInboxThatForgets: both numbers are named, and what can be done.
func TestRefusesAnInboxThatForgets(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		retention, maxAge, horizon time.Duration
		want                       []string // none: it starts
	}{
		"for ever":                         {0, 0, 0, nil},
		"for ever, by age":                 {0, 7 * day, 0, nil},
		"longer":                           {7*day + time.Hour, 7 * day, 0, nil},
		"as long":                          {7 * day, 7 * day, 0, []string{"168h0m0s", "169h0m0s", "OUTBOX", "Retention"}},
		"shorter":                          {day, 7 * day, 0, []string{"24h0m0s", "168h0m0s", "169h0m0s", "ReplayHorizon"}},
		"never long enough":                {day, 0, 0, []string{"24h0m0s", "for ever", "ReplayHorizon"}},
		"as long as the user says":         {day, 0, 20 * time.Hour, nil},
		"as the user says, not the stream": {day, 7 * day, 20 * time.Hour, nil},
		"not as long as the user says":     {day, 7 * day, day, []string{"Config.ReplayHorizon is 24h0m0s", "25h0m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.maxAge(c.maxAge)
			for field, inTx := range map[string]bool{"Inbox": false, "TxInbox": true} {
				in := newShortInbox(c.retention)
				cfg := w.config()
				cfg.Inbox, cfg.TxInbox, cfg.ReplayHorizon = in, shortTxInbox{in}, c.horizon
				run := w.consumer(cfg)
				if inTx {
					run.HandleTx("a", openNoDB(t), func(context.Context, *sql.Tx, *consumer.Message) error { return nil })
				} else {
					run.Handle("a", nothing)
				}
				w.wantRefusal(run, field, c.want, in)
			}
		})
	}
}

func (w *world) wantRefusal(c *consumer.Consumer, field string, want []string, in *shortInbox) {
	w.t.Helper()
	if len(want) == 0 {
		stop := w.run(c)
		eventually(w.t, "the durable consumer is there", func() bool {
			_, err := w.js.Consumer(w.t.Context(), "OUTBOX", "c")
			return err == nil
		})
		if err := stop(); err != nil {
			w.t.Errorf("%s: %v", field, err)
		}
		return
	}
	err := c.Run(w.t.Context())
	for _, part := range append(want, "Config."+field) {
		if err == nil || !strings.Contains(err.Error(), part) {
			w.t.Errorf("%s: no %q in: %v", field, part, err)
		}
	}
	if len(in.maintained) > 0 {
		w.t.Errorf("%s: the inbox was told to forget", field)
	}
}

// TestOnlyTheInboxInUseCounts: the default memory makes no promise, and an inbox
// that no handler uses is not asked.
func TestOnlyTheInboxInUseCounts(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.TxInbox = shortTxInbox{newShortInbox(time.Minute)}
	c := w.consumer(cfg)
	c.Handle("a", nothing)
	w.publish("a", "1")
	w.run(c)
	eventually(t, "handled", func() bool { return c.Stats().Handled == 1 })
}

// TestMaintainsItsInbox: once for each database, until Run ends; and a stream that
// keeps more later is an error in the log only.
func TestMaintainsItsInbox(t *testing.T) {
	w := newWorld(t)
	w.maxAge(time.Hour)
	in := newShortInbox(3 * time.Hour)
	cfg := w.config()
	cfg.Inbox, cfg.TxInbox = in, shortTxInbox{in}
	var said lockedBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	c := w.consumer(cfg)
	one, two := openNoDB(t), openNoDB(t)
	nothingTx := func(context.Context, *sql.Tx, *consumer.Message) error { return nil }
	c.HandleTx("a", one, nothingTx)
	c.HandleTx("b", one, nothingTx)
	c.HandleBatchTx("c", two, consumer.BatchOptions{}, func(context.Context, *sql.Tx, []*consumer.Message) error { return nil })
	c.Handle("d", nothing)
	stop := w.run(c)
	if a, b := <-in.maintained, <-in.maintained; a == b {
		t.Error("one database is maintained twice")
	}
	w.maxAge(24 * time.Hour)
	eventually(t, "the durable consumer is deleted, which ends the session", func() bool {
		return w.js.DeleteConsumer(t.Context(), "OUTBOX", "c") == nil
	})
	w.publish("d", "1")
	eventually(t, "handled in the next session", func() bool { return c.Stats().Handled == 1 })
	eventually(t, "the change is said", func() bool { return strings.Contains(said.String(), "the stream was changed") })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if len(in.ended) != 2 || len(in.maintained) != 0 {
		t.Errorf("%d ended, %d more began", len(in.ended), len(in.maintained))
	}
}
