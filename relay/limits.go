package relay

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/internal/pause"
)

// maxEvent is the largest event that broker and stream take, when it has to fit as
// a dead letter too.
func (r *Relay) maxEvent() int64 {
	limit := r.cfg.Conn.MaxPayload()
	if limit > 0 {
		limit = max(limit-deadletter.Room, 1)
	}
	return r.streamTakes(limit)
}

// maxPayload is the largest message that broker and stream take.
func (r *Relay) maxPayload() int64 { return r.streamTakes(r.cfg.Conn.MaxPayload()) }

// streamTakes is the smaller one of a limit and the stream's max_msg_size; 0 and less is none.
func (r *Relay) streamTakes(limit int64) int64 {
	if s := r.maxMsgSize.Load(); s > 0 && (limit <= 0 || s < limit) {
		return s
	}
	return limit
}

// askLimits brings what is known of these limits up to date, however long that takes.
// Before a row is put aside for good because of one, it has to be the one of now.
func (r *Relay) askLimits(ctx context.Context) error {
	nc, forced := r.cfg.Conn, false
	before := nc.Stats().Reconnects
	for try := 0; ; try++ {
		now, err := askMaxPayload(nc)
		switch {
		case err == nil && now <= nc.MaxPayload(), nc.Stats().Reconnects != before && nc.IsConnected():
			if err = r.askMaxMsgSize(ctx); err == nil {
				return nil
			}
		case !forced && (err == nil || try == probes): // the client is told when it connects, too
			forced = nc.ForceReconnect() == nil
		}
		if err != nil {
			r.notLeading(try, fmt.Errorf("ask the broker how large a message may be: %w", err))
		}
		if err := pause.For(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// probes is how often a second connection is tried, which the broker may not allow.
const probes = 3

func (r *Relay) askMaxMsgSize(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.CommitTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, r.cfg.Stream)
	if err != nil {
		return err
	}
	r.maxMsgSize.Store(int64(stream.CachedInfo().Config.MaxMsgSize))
	return nil
}

// askMaxPayload asks by a connection of its own to the server that nc is connected to: a
// client is told max_payload when it connects, and not when that is changed.
func askMaxPayload(nc *nats.Conn) (int64, error) {
	o := nc.Opts
	if o.Url = nc.ConnectedUrl(); o.Url == "" {
		return 0, nats.ErrDisconnected
	}
	if state, err := nc.TLSConnectionState(); err == nil && o.TLSConfig != nil {
		o.TLSConfig = o.TLSConfig.Clone()
		o.TLSConfig.ServerName = state.ServerName // that of a server which others told of is an address
	}
	o.Servers, o.IgnoreDiscoveredServers, o.AllowReconnect, o.RetryOnFailedConnect = nil, true, false, false
	o.AsyncErrorCB, o.ConnectedCB, o.DisconnectedErrCB, o.ReconnectedCB, o.ClosedCB = nil, nil, nil, nil, nil
	o.DiscoveredServersCB, o.LameDuckModeHandler, o.ReconnectErrCB = nil, nil, nil
	probe, err := o.Connect()
	if err != nil {
		return 0, err
	}
	defer probe.Close()
	return probe.MaxPayload(), nil
}
