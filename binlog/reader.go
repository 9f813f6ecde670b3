package binlog

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// sessionTimeout bounds a statement on a session.
const sessionTimeout = 30 * time.Second

// Reader reads one source. It holds no connection between calls, and its methods
// may be called from several goroutines.
type Reader struct {
	cfg     Config
	tables  tableSet
	mapping mapping
	log     *slog.Logger
	lag     lag
	reach   reach
	held    atomic.Int64 // bytes, by the running Stream
	view    uint32       // of tables and columns
}

// HeldBytes is what the rows take that a running [Reader.Stream] holds: those of the
// transaction that is being read, and of XA transactions that are prepared. Each of
// both is bounded by [Config.MaxTransactionBytes]. It is 0 while no stream runs.
func (r *Reader) HeldBytes() int { return int(r.held.Load()) }

// New returns a reader for cfg. Every fault of cfg is reported at once; nothing
// is connected yet.
func New(cfg Config) (*Reader, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	tables, err := parseTables(cfg.Database, cfg.Tables)
	if err != nil {
		return nil, err
	}
	tables.ignoreUpdates = cfg.OnUpdate == IgnoreUpdates
	m := newMapping(cfg)
	return &Reader{cfg: cfg, tables: tables, mapping: m, log: cfg.Logger, view: viewOf(m, tables.list)}, nil
}

// Begin returns the position to begin from when there is no checkpoint, by
// [Config.Start]. It connects once and returns the error of that.
func (r *Reader) Begin(ctx context.Context) (p checkpoint.Position, err error) {
	defer func() { err = advise(ctx, err) }()
	srv, err := r.ready(ctx, r.beginning())
	if err != nil {
		return p, fmt.Errorf("begin: %w", err)
	}
	p = checkpoint.Position{Flavor: srv.Flavor, ServerUUID: srv.UUID}
	if err := startFits(srv, r.cfg.Start); err != nil {
		return p, fmt.Errorf("begin: %w", err)
	}
	if srv.withoutGTIDs() && r.cfg.Start != StartSnapshot {
		if p.Binlog, err = r.filesBegin(ctx, srv); err != nil {
			return p, fmt.Errorf("begin: %w", err)
		}
		return p, nil
	}
	switch r.cfg.Start {
	case StartSnapshot:
		p.Snapshot = &checkpoint.Snapshot{}
	case StartLatest:
		p.Resume = srv.Executed
	case StartEarliest:
		if p.Resume, err = r.oldest(ctx, srv); err != nil {
			return p, fmt.Errorf("begin: %w", err)
		}
	default:
		if p.Resume, err = checkpoint.ParseGTIDSet(r.cfg.Start); err != nil {
			return p, fmt.Errorf("begin: %w", err)
		}
		if err := r.Verify(ctx, p); err != nil {
			return p, err
		}
	}
	return p, nil
}
