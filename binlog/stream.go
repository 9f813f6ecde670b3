package binlog

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/pause"
	"github.com/binjet/binjet/internal/slab"
)

// How long to wait before a lost connection is opened again.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// stream is one call of [Reader.Stream]: its position and what hangs on it.
type stream struct {
	*Reader
	emit func(*checkpoint.Transaction) error

	at       checkpoint.Position // what was yielded
	srv      *Server             // of the connection
	plan     *plan               // the group to be read again
	xa       parking             // rows of prepared XA transactions
	progress bool                // something was read since the last connect
	yielded  bool                // something was yielded at all
	rescan   *checkpoint.Rescan  // a gap to be mended before anything else
	gap      error               // what the server said of a gap that was not seen before
	silent   int                 // heartbeats since anything else came
	foreign  rarely              // warnings of statement-format writes to other tables
	updates  rarely              // warnings of updates that are passed over
	hashes   hashes              // of the transaction at hand
	cut      slab.Slab[checkpoint.Transaction]
}

// yieldError is an error of the callee, to be returned as it is.
type yieldError struct{ error }

// errAgain: the next group is too large to hold, and is read again by its plan.
var errAgain = constError("read the transaction again")

// Stream yields every transaction after from, in commit order: whole ones, parts
// of large ones, and before them the rows of a snapshot that from asks for. It
// waits for yield, which may keep what it gets, and may take as long as it likes. Small
// transactions share memory, so that one which is kept keeps some hundred others at most, of
// 8 KiB at most each: copy what is to be kept for long.
//
// It returns when ctx ends (ctx.Err()), when yield fails (that error as it is),
// with a *checkpoint.HaltError when going on would break a promise, or with
// [checkpoint.ErrRestart] when it fell behind the server's binlogs and
// [Config.OnGap] says to mend that. Lost connections are opened again for ever, behind what was yielded.
func (r *Reader) Stream(ctx context.Context, from checkpoint.Position, yield func(*checkpoint.Transaction) error) error {
	s := r.newStream(from, yield)
	defer s.reach.find()
	defer s.held.Store(0)
	return s.retry(ctx, s.once)
}

func (r *Reader) newStream(from checkpoint.Position, yield func(*checkpoint.Transaction) error) *stream {
	s := &stream{Reader: r, at: from.Clone()}
	s.emit = func(tx *checkpoint.Transaction) error {
		tx.ServerUUID = s.srv.UUID
		tx.View = s.view
		tx.Before, _ = s.at.Resume.Domain(tx.GTID.Domain)
		if err := yield(tx); err != nil {
			return yieldError{err}
		}
		s.at.Apply(tx)
		s.yielded = true
		return nil
	}
	return s
}

// retry runs once again and again, until its error is one that ends the stream.
func (s *stream) retry(ctx context.Context, once func(context.Context) error) error {
	wait := minBackoff
	for {
		s.progress = false
		err := once(ctx)
		var refused yieldError
		var halted *checkpoint.HaltError
		switch {
		case errors.As(err, &refused):
			return refused.error
		case errors.As(err, &halted), errors.Is(err, checkpoint.ErrRestart):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errAgain):
			continue
		case err == nil:
			return nil
		}
		if s.progress {
			wait = minBackoff
		}
		s.disconnected(ctx, err, wait)
		if pause.For(ctx, jitter(wait)) != nil {
			return ctx.Err()
		}
		wait = min(2*wait, maxBackoff)
	}
}

func (s *stream) disconnected(ctx context.Context, err error, wait time.Duration) {
	s.log.Warn("source is not connected, trying again", "addr", s.cfg.Addr, "error", err, "wait", wait, "next", nextStep(err))
	err = advise(ctx, err)
	s.reach.lose(err)
	if f := s.cfg.Hooks.Disconnected; f != nil {
		f(err)
	}
}

// jitter spreads d over its upper half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// once verifies the server, finishes the snapshot if there is one, and follows
// the binlog until the connection ends.
func (s *stream) once(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	if s.at.Snapshot != nil || s.rescan != nil {
		if err := s.snapshot(ctx); err != nil {
			return err
		}
	}
	return s.noteGap(s.follow(ctx))
}

// follow reads the binlog behind the position until the connection ends.
func (s *stream) follow(ctx context.Context) error {
	p := newParser(flavorName(s.srv.Flavor), &s.tables, false)
	defer p.close()
	parts := &partition{stream: s}
	from := originOf(s.at)
	a := &assembler{
		tables: &s.tables, decode: newDecoder(s.mapping), limit: s.cfg.MaxTransactionBytes, at: from.at,
		second: s.plan, part: parts.add, foreign: s.foreignWrite, updated: s.ignoredUpdate,
		abandoned: func(g checkpoint.GTID) {
			s.log.Warn("the server died while it wrote a transaction and rolled it back: passing it over", "gtid", g.String())
		},
	}
	err := s.dump(ctx, s.srv.Flavor, from, func(raw []byte) error {
		s.received(raw)
		if err := s.watch(ctx, from.at, raw); err != nil {
			return err
		}
		return p.parse(raw, func(ev *replication.BinlogEvent) error { return s.take(ctx, ev, a, parts) })
	})
	return s.fileError(ctx, from.at, s.dumpError(err))
}

// take yields the group that an event ends, if it does.
func (s *stream) take(ctx context.Context, ev *replication.BinlogEvent, a *assembler, parts *partition) error {
	g, err := a.add(ev)
	s.held.Store(int64(a.bytes + s.xa.bytes + parts.bytes))
	if err != nil || g == nil {
		return err
	}
	defer func() { *g = group{} }() // or what may be large stays until the next one
	return s.deliver(ctx, g, parts)
}

// open asks the server for its facts and checks the position against them.
func (s *stream) open(ctx context.Context) error {
	srv, err := s.ready(ctx, purposeAt(s.at))
	if err != nil {
		return err
	}
	s.reach.find()
	if err := s.verifyAll(ctx, srv, s.at); err != nil {
		return err
	}
	s.srv = srv
	if err := s.acceptLoss(ctx); err != nil {
		return err
	}
	if err := s.mendGap(ctx); err != nil {
		return err
	}
	if err := s.restate(ctx); err != nil {
		return err
	}
	if f := s.cfg.Hooks.Connected; f != nil {
		f(*srv)
	}
	s.log.Info("source is connected", "addr", s.cfg.Addr, "flavor", srv.Flavor, "version", srv.Version, "from", s.at.Where())
	return nil
}

func (s *stream) received(raw []byte) {
	s.progress = true
	s.warnUndecided()
	if f := s.cfg.Hooks.Received; f != nil {
		f(len(raw))
	}
}

// deliver yields a group: whole when it is held and nothing of it is published.
func (s *stream) deliver(ctx context.Context, g *group, parts *partition) error {
	from, err := s.unpark(ctx, g)
	if err != nil {
		return err
	}
	p := s.at.Partial
	switch {
	case g.planned:
		if err := parts.end(g); err != nil {
			return err
		}
		s.plan = nil
	case p != nil && p.GTID != g.gtid && g.rows > 0:
		return halt(nil, "The server's history changed while a large transaction was published: compare the outbox table with the stream",
			"transaction %s has outbox rows and comes before %s, of which %d rows are published already", g.gtid, p.GTID, p.Rows)
	case g.plan != nil && from != nil:
		if err := s.unparkParts(ctx, from, g, parts); err != nil {
			return err
		}
	case g.plan != nil:
		s.plan = g.plan
		return errAgain
	case p != nil && p.GTID == g.gtid:
		if err := parts.whole(g); err != nil {
			return err
		}
	default:
		tx := s.transaction(g)
		*tx = checkpoint.Transaction{GTID: g.gtid, Binlog: g.end, Committed: g.committed, Messages: g.messages, Hash: s.hashes.of(g.messages),
			Prepared: s.undecided(g), Decided: g.decided}
		for _, row := range g.invalid {
			tx.Invalid = append(tx.Invalid, row.fault.invalid(row.index))
		}
		if err := s.emit(tx); err != nil {
			return err
		}
	}
	s.xa.settle(g, s.cfg.MaxTransactionBytes)
	s.held.Store(int64(s.xa.bytes))
	if f := s.cfg.Hooks.Transaction; f != nil {
		f(g.gtid, g.committed, g.rows)
	}
	return nil
}

// transaction is the place of what is yielded for g.
func (s *stream) transaction(g *group) *checkpoint.Transaction {
	if g.bytes > maxShared || g.invalid != nil || g.decided != "" { // or has what was held for long
		return new(checkpoint.Transaction)
	}
	return &s.cut.Take(1, sharing)[0]
}
