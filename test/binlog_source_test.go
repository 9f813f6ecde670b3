package test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
)

// binlogSource is an outbox table of its own on a server that tests share one
// after the other.
type binlogSource struct {
	srv    *dbserver.Server
	db     *sql.DB // root, no default database
	schema string
}

// newBinlogSource makes a schema with an outbox table.
func newBinlogSource(t *testing.T, srv *dbserver.Server, db *sql.DB, schema string) *binlogSource {
	t.Helper()
	s := &binlogSource{srv: srv, db: db, schema: schema}
	execSQL(t, db, "CREATE DATABASE "+schema)
	table, err := binjet.OutboxSQL(schema + ".outbox")
	must(t, err)
	execSQL(t, db, table)
	return s
}

func (s *binlogSource) config() binlog.Config {
	return binlog.Config{Addr: s.srv.Addr(), User: "root", Database: s.schema, Tables: []string{"outbox"}, Start: binlog.StartLatest,
		FailoverWait: -1,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func (s *binlogSource) reader(t *testing.T, change func(*binlog.Config)) *binlog.Reader {
	t.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	r, err := binlog.New(cfg)
	must(t, err)
	return r
}

// conn is one session whose default database is the source's.
func (s *binlogSource) conn(t *testing.T) *sql.Conn {
	t.Helper()
	c, err := s.db.Conn(t.Context())
	must(t, err)
	t.Cleanup(func() {
		_ = c.Raw(func(any) error { return driver.ErrBadConn }) // session settings must not go back to the pool
		_ = c.Close()
	})
	s.run(t, c, "USE "+s.schema)
	return c
}

func (s *binlogSource) run(t *testing.T, c *sql.Conn, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if _, err := c.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// insertSQL inserts rows whose topic and payload follow from the ID.
func insertSQL(ids ...string) string {
	values := make([]string, len(ids))
	for i, id := range ids {
		values[i] = fmt.Sprintf("('%s','t.%s','payload of %s')", id, id, id)
	}
	return "INSERT INTO outbox (id,topic,payload) VALUES " + strings.Join(values, ",")
}

// begin is a position that a stream can start from.
func begin(t *testing.T, r *binlog.Reader) checkpoint.Position {
	t.Helper()
	p, err := r.Begin(t.Context())
	must(t, err)
	return p
}

// binlogSink takes what a stream yields and keeps the position, as the relay does.
type binlogSink struct {
	mu   sync.Mutex
	pos  checkpoint.Position
	txs  []*checkpoint.Transaction
	news chan struct{} // closed and replaced when something came
	// each, when set, is called first; its error is what yield returns.
	each func(*checkpoint.Transaction) error

	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// stream runs a stream until stop, or its end.
func stream(t *testing.T, r *binlog.Reader, from checkpoint.Position, each func(*checkpoint.Transaction) error) *binlogSink {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	k := &binlogSink{pos: from.Clone(), news: make(chan struct{}), each: each, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(k.done)
		k.err = r.Stream(ctx, from, k.take)
	}()
	t.Cleanup(func() { k.stop() })
	return k
}

func (k *binlogSink) take(tx *checkpoint.Transaction) error {
	if k.each != nil {
		if err := k.each(tx); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.txs = append(k.txs, tx)
	k.pos.Apply(tx)
	close(k.news)
	k.news = make(chan struct{})
	return nil
}

// stop ends the stream and returns its error.
func (k *binlogSink) stop() error {
	k.cancel()
	<-k.done
	return k.err
}

// ids are all message IDs so far, in order.
func (k *binlogSink) ids() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ids []string
	for _, tx := range k.txs {
		for _, m := range tx.Messages {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (k *binlogSink) position() checkpoint.Position {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pos.Clone()
}

// until waits until ok, which gets the transactions so far, says so.
func (k *binlogSink) until(t *testing.T, what string, ok func([]*checkpoint.Transaction) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		k.mu.Lock()
		news, yes := k.news, ok(k.txs)
		k.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-news:
		case <-k.done:
			t.Fatalf("the stream ended before %s: %v", what, k.err)
		case <-deadline:
			t.Fatalf("no %s after %s; got %d transactions", what, patience, len(k.txs))
		}
	}
}

// untilID waits for a message.
func (k *binlogSink) untilID(t *testing.T, id string) {
	t.Helper()
	seen := 0
	k.until(t, "message "+id, func(txs []*checkpoint.Transaction) bool {
		for ; seen < len(txs); seen++ {
			for _, m := range txs[seen].Messages {
				if m.ID == id {
					return true
				}
			}
		}
		return false
	})
}

// halted waits for the stream to end, and wants it to be for a cause.
func (k *binlogSink) halted(t *testing.T, is error, words ...string) {
	t.Helper()
	select {
	case <-k.done:
	case <-time.After(60 * time.Second):
		t.Fatalf("the stream goes on; got %v", k.ids())
	}
	wantHalt(t, k.err, is, words...)
}

func wantHalt(t *testing.T, err, is error, words ...string) {
	t.Helper()
	var h *checkpoint.HaltError
	if !errors.As(err, &h) {
		t.Fatalf("got %v, want a HaltError", err)
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("%v\nis not %v", err, is)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\ndoes not say %q", err, w)
		}
	}
}

// exactly wants every one of want once, in any order, and nothing else.
func exactly(t *testing.T, got, want []string) {
	t.Helper()
	count := make(map[string]int, len(want))
	for _, id := range want {
		count[id]--
	}
	for _, id := range got {
		count[id]++
	}
	wrong := 0
	for id, n := range count {
		if n != 0 {
			if wrong++; wrong <= 10 {
				t.Errorf("%s came %d times more than it was committed", id, n)
			}
		}
	}
	if wrong > 10 {
		t.Errorf("… %d wrong in all, of %d", wrong, len(want))
	}
}
