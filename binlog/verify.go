package binlog

import (
	"context"
	"fmt"

	"github.com/binjet/binjet/checkpoint"
)

const (
	hintForeign = "If this is the right server, its history was rewritten (RESET, a restored backup, a fail-over that lost transactions): " +
		"compare the outbox tables with the stream by Outbox-Id, publish by hand what is missing, and " + goOnFrom
	hintPurged = "Start again to have the missing transactions named. Keep binlogs longer than the longest downtime (binlog_expire_logs_seconds)"
)

// Verify says whether reading can go on from p, and changes nothing: the server
// is set up, it is of p's flavour, it has all that p holds, and its binlogs still
// have all that follows. It is a *checkpoint.HaltError when an operator must
// decide, with [ErrForeign] or [ErrPurged] as its cause; other errors, such as
// those of the connection, may pass.
func (r *Reader) Verify(ctx context.Context, p checkpoint.Position) (err error) {
	defer func() { err = advise(ctx, err) }()
	srv, err := r.ready(ctx, purposeAt(p))
	if err != nil {
		return fmt.Errorf("verify the source: %w", err)
	}
	if err := r.verifyAll(ctx, srv, p); err != nil {
		return fmt.Errorf("verify the source: %w", err)
	}
	if unread(p) || srv.Flavor != checkpoint.MariaDB {
		return nil
	}
	oldest, err := r.oldest(ctx, srv)
	if err != nil {
		return fmt.Errorf("verify the source: %w", err)
	}
	return r.complete(oldest, p)
}

// complete: the server has all that follows p. What gone holds it no longer has.
func (r *Reader) complete(gone checkpoint.GTIDSet, p checkpoint.Position) error {
	missing := gone.Minus(p.Resume)
	if err := r.purged(missing, p); err != nil {
		return err
	}
	if r.rescans(missing) { // which sees what XA transactions committed since
		return nil
	}
	return purgedXA(gone, p)
}

// verifyAll compares p with the server, its files, and its last transactions.
func (r *Reader) verifyAll(ctx context.Context, srv *Server, p checkpoint.Position) error {
	if err := r.verify(srv, p); err != nil {
		return err
	}
	if err := r.verifyFiles(ctx, srv, p); err != nil {
		return err
	}
	return r.verifyLast(ctx, srv, p)
}

// unread: a snapshot is to be taken first, and there is no position yet.
func unread(p checkpoint.Position) bool { return p.Snapshot != nil && !p.Snapshot.Begun }

// verify compares p with the facts of a server.
func (r *Reader) verify(srv *Server, p checkpoint.Position) error {
	flavor := p.Flavor
	if f := p.Resume.Flavor(); f != "" {
		flavor = f
	}
	if flavor != "" && flavor != srv.Flavor {
		return halt(ErrForeign, "Correct the address of the source, or use another source name for another source",
			"the position is one of %s, and the server at %s is %s (%s)", flavor, r.cfg.Addr, srv.Flavor, srv.Version)
	}
	switch {
	case unread(p):
		return nil
	case !p.Binlog.IsZero():
		r.lag.end()
		if p.ServerUUID != srv.UUID {
			return halt(ErrForeign, hintOtherFiles, "the position %s is in the binlog of server %s, and the server at %s is %s",
				p.Binlog, p.ServerUUID, r.cfg.Addr, srv.UUID)
		}
		return nil
	case srv.withoutGTIDs():
		return halt(ErrGTIDMode, hintGTIDsOff, "the server at %s%s runs with gtid_mode=%s, and the position is the GTID set %q",
			r.cfg.Addr, other(srv, p), srv.variables["gtid_mode"], p.Resume)
	}
	if err := r.reached(srv, p); err != nil {
		return err
	}
	if err := r.complete(srv.Purged, p); err != nil {
		return err
	}
	if moved(srv, p) {
		r.log.Warn("the source is another server than before, and its history holds the position: going on", "addr", r.cfg.Addr,
			"before", p.ServerUUID, "now", srv.UUID, "position", p.Resume.String())
	}
	return nil
}

func moved(srv *Server, p checkpoint.Position) bool {
	return p.ServerUUID != "" && srv.UUID != "" && p.ServerUUID != srv.UUID
}

func other(srv *Server, p checkpoint.Position) string {
	switch {
	case p.ServerUUID == "" || srv.UUID == "":
		return ""
	case moved(srv, p):
		return fmt.Sprintf(" (%s, not %s as before)", srv.UUID, p.ServerUUID)
	}
	return fmt.Sprintf(" (%s, the same as before)", srv.UUID)
}

var errListed = constError("the GTID list was read")

// oldest is the position before the oldest transaction that the server still has.
//
// MariaDB writes it at the head of each binlog. Reading the oldest one from its
// start needs no privilege beyond REPLICATION SLAVE, as naming it would.
func (r *Reader) oldest(ctx context.Context, srv *Server) (checkpoint.GTIDSet, error) {
	if srv.Flavor == checkpoint.MySQL {
		return srv.Purged, nil
	}
	h, err := r.headOfMariaDB(ctx, "")
	if err != nil {
		return h.before, fmt.Errorf("read the head of the oldest binlog of %s: %w", r.cfg.Addr, err)
	}
	return h.before, nil
}
