package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// fakeSource is a binlog in memory: transactions numbered from 1, of one server.
type fakeSource struct {
	mu    sync.Mutex
	txs   []*checkpoint.Transaction
	more  chan struct{}
	begin func() checkpoint.Position
	fail  error // returned behind the last transaction

	unreachable atomic.Bool // for Verify
}

func newFakeSource() *fakeSource { return &fakeSource{more: make(chan struct{})} }

var fakeUUID = [16]byte{1, 2, 3}

// commit appends one transaction with the given number of events.
func (f *fakeSource) commit(events int, payload []byte) *checkpoint.Transaction {
	return f.commitInvalid(events, payload)
}

// commitInvalid is commit with rows in it that can't be published.
func (f *fakeSource) commitInvalid(events int, payload []byte, bad ...checkpoint.Invalid) *checkpoint.Transaction {
	return f.commitWith(events, payload, nil, bad...)
}

func (f *fakeSource) commitWith(events int, payload []byte, headers binjet.Headers, bad ...checkpoint.Invalid) *checkpoint.Transaction {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.txs) + 1
	tx := &checkpoint.Transaction{GTID: checkpoint.GTID{Flavor: checkpoint.MySQL, UUID: fakeUUID, N: uint64(n)}, Committed: time.Now(), Invalid: bad}
	for i := range events {
		tx.Messages = append(tx.Messages, binjet.Message{ID: fmt.Sprintf("%d.%d", n, i+1), Topic: "orders.created", Key: "k", Payload: payload, Headers: headers})
	}
	f.txs = append(f.txs, tx)
	close(f.more)
	f.more = make(chan struct{})
	return tx
}

func (f *fakeSource) Begin(context.Context) (checkpoint.Position, error) {
	if f.begin != nil {
		return f.begin(), nil
	}
	return checkpoint.Position{Flavor: checkpoint.MySQL}, nil
}

func (f *fakeSource) Verify(context.Context, checkpoint.Position) error {
	if f.unreachable.Load() {
		return errUnreachable
	}
	return nil
}

var errUnreachable = errors.New("no way to the source")

func (f *fakeSource) Stream(ctx context.Context, p checkpoint.Position, yield func(*checkpoint.Transaction) error) error {
	for i := 0; ; {
		f.mu.Lock()
		more := f.more
		var tx *checkpoint.Transaction
		if i < len(f.txs) {
			tx = f.txs[i]
		}
		fail := f.fail
		f.mu.Unlock()
		switch {
		case tx != nil && !p.Resume.Contains(tx.GTID):
			if err := yield(skipRows(tx, p.Partial)); err != nil {
				return err
			}
			i++
			continue
		case tx != nil:
			i++
			continue
		case fail != nil:
			return fail
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func skipRows(tx *checkpoint.Transaction, partial *checkpoint.Partial) *checkpoint.Transaction {
	c := *tx
	if partial != nil && partial.GTID == tx.GTID {
		c.Offset = partial.Rows
		c.Messages = tx.Messages[partial.Rows:]
	}
	return &c
}

// ids are all events in commit order.
func (f *fakeSource) ids() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tx := range f.txs {
		for _, m := range tx.Messages {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// running is a relay in a goroutine.
type running struct {
	*Relay
	stop context.CancelFunc
	done chan struct{}
	err  error
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "shop"
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 100 * time.Millisecond
	}
	if cfg.CommitTimeout == 0 {
		cfg.CommitTimeout = 500 * time.Millisecond
	}
	cfg.Manage = true
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Relay: r, stop: cancel, done: make(chan struct{})}
	go func() { defer close(run.done); run.err = r.Run(ctx) }()
	t.Cleanup(func() { run.halt(t) })
	return run
}

func (r *running) halt(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case <-r.done:
	case <-time.After(20 * time.Second):
		t.Error("the relay did not stop")
	}
}

// eventually polls cond; it is the only way these tests wait for the broker.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(3 * time.Minute) // a slow machine that much else runs on
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long for: %s", what)
		}
	}
}

// streamed returns the IDs of the stream's events, in stream order.
func streamed(t *testing.T, nc *nats.Conn) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(ctx, "OUTBOX")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		msg, err := s.GetMsg(ctx, seq)
		if err != nil {
			continue // rolled up
		}
		if id := msg.Header.Get(binjet.HeaderID); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
