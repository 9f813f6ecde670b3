package binlog

import (
	"context"
	"runtime/debug"

	"github.com/binjet/binjet/checkpoint"
)

// origin is where a dump begins: behind a set of GTIDs, or where a cursor says,
// which then follows the dump.
type origin struct {
	set checkpoint.GTIDSet
	at  *cursor
}

func originOf(p checkpoint.Position) origin {
	if p.Binlog.IsZero() {
		return origin{set: p.Resume}
	}
	return origin{at: newCursor(p.Binlog)}
}

// dump opens a binlog connection behind o and hands every event to handle, in the
// caller's goroutine, until the connection ends, handle fails (that error is
// returned as it is) or ctx ends. The bytes of an event are handle's until it
// returns; those of rows stay as they are.
func (r *Reader) dump(ctx context.Context, flavor checkpoint.Flavor, o origin, handle func(raw []byte) error) error {
	return r.dumpAs(ctx, r.cfg.ServerID, flavor, o, handle)
}

// dumpAs is dump under a server ID.
func (r *Reader) dumpAs(ctx context.Context, id uint32, flavor checkpoint.Flavor, o origin, handle func(raw []byte) error) error {
	if o.at != nil {
		return r.replicate(ctx, flavor, id, o.at.request(), o.at.following(handle))
	}
	return r.replicate(ctx, flavor, id, request{set: &o.set}, handle)
}

// replicate is one dump from start to end, under a server ID: MariaDB ends the older
// one of two connections with the same.
func (r *Reader) replicate(ctx context.Context, flavor checkpoint.Flavor, id uint32, from request, handle func(raw []byte) error) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	c.link.timeout = r.cfg.ReadTimeout // heartbeats come more often
	if err := c.register(flavor, id, r.cfg.Heartbeat); err != nil {
		return cause(ctx, err)
	}
	if err := c.ask(flavor, id, from); err != nil {
		return cause(ctx, err)
	}
	// go-mysql reads ahead, but has nothing left over: each statement was answered before the next.
	p := newPackets(c.Conn.Conn.Conn, c.Sequence)
	for {
		raw, err := p.event()
		if err != nil {
			return cause(ctx, c.ended(err))
		}
		if err := guarded(handle, raw); err != nil {
			return err
		}
	}
}

// guarded turns a panic into an error that halts: as the end of a connection we would
// run into it again for ever.
func guarded(handle func([]byte) error, raw []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = halt(nil, "Report this", "panic while reading an event of the binlog: %v\n%s", p, debug.Stack())
		}
	}()
	return handle(raw)
}
