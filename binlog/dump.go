package binlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

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

// dump opens a binlog connection behind o and hands every event to handle, in
// one goroutine and waiting for it, until the connection ends, handle fails
// (that error is returned as it is) or ctx ends. Nothing of it runs on after it
// returned.
func (r *Reader) dump(ctx context.Context, flavor checkpoint.Flavor, o origin, handle func(raw []byte) error) error {
	return r.dumpAs(ctx, r.cfg.ServerID, flavor, o, handle)
}

// dumpAs is dump under a server ID.
func (r *Reader) dumpAs(ctx context.Context, id uint32, flavor checkpoint.Flavor, o origin, handle func(raw []byte) error) error {
	if o.at != nil {
		return r.sync(ctx, flavor, id, o.at.following(handle), func(s *replication.BinlogSyncer) (*replication.BinlogStreamer, error) {
			return s.StartSync(o.at.request())
		})
	}
	gset, err := mysql.ParseGTIDSet(flavorName(flavor), o.set.String())
	if err != nil {
		return fmt.Errorf("translate position %s: %w", o.set, err)
	}
	return r.sync(ctx, flavor, id, handle, func(s *replication.BinlogSyncer) (*replication.BinlogStreamer, error) {
		return s.StartSyncGTID(gset)
	})
}

// sync runs one go-mysql syncer from start to end, under a server ID: MariaDB
// ends the older one of two connections with the same.
func (r *Reader) sync(ctx context.Context, flavor checkpoint.Flavor, id uint32, handle func(raw []byte) error,
	start func(*replication.BinlogSyncer) (*replication.BinlogStreamer, error)) error {
	l := newLink(r.cfg.ReadTimeout)
	h := &handler{handle: handle}
	login, err := r.login()
	if err != nil {
		return err
	}
	cfg := r.syncerConfig(flavor, login, l, h)
	cfg.ServerID = id
	syncer := replication.NewBinlogSyncer(cfg)
	defer syncer.Close() // returns at once: the link is closed
	defer l.close()
	defer context.AfterFunc(ctx, l.close)()

	streamer, err := start(syncer)
	if err == nil {
		_, err = streamer.GetEvent(context.Background()) // the handler gets the events; this is the end
	}
	if h.err != nil {
		return h.err
	}
	return cause(ctx, err)
}

func (r *Reader) syncerConfig(flavor checkpoint.Flavor, login Login, l *link, h *handler) replication.BinlogSyncerConfig {
	host, port := r.cfg.Addr, uint16(0)
	if name, p, err := net.SplitHostPort(r.cfg.Addr); err == nil && !isSocket(r.cfg.Addr) {
		n, _ := strconv.ParseUint(p, 10, 16)
		host, port = name, uint16(n)
	}
	return replication.BinlogSyncerConfig{
		Flavor: flavorName(flavor),
		Host:   host, Port: port, User: login.User, Password: login.Password, TLSConfig: login.TLS,
		Localhost: "binjet", RawModeEnabled: true,
		HeartbeatPeriod: r.cfg.Heartbeat, ReadTimeout: r.cfg.ReadTimeout,
		DisableRetrySync: true, DiscardGTIDSet: true, VerifyChecksum: true, EventCacheCount: 1,
		SynchronousEventHandler: h, Dialer: l.dial, Logger: quiet(r.log),
	}
}

// handler is go-mysql's EventHandler.
type handler struct {
	handle func(raw []byte) error
	err    error
}

var errHandled = errors.New("the handler ended the stream")

// HandleEvent keeps our error, which go-mysql would wrap, and turns a panic into
// one: go-mysql would take it for the end of a connection, and we would run into
// it again for ever.
func (h *handler) HandleEvent(ev *replication.BinlogEvent) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.err = halt(nil, "Report this", "panic while reading an event of the binlog: %v\n%s", p, debug.Stack())
			err = errHandled
		}
	}()
	if h.err = h.handle(ev.RawData); h.err != nil {
		return errHandled
	}
	return nil
}
