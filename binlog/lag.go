package binlog

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// lag is the wait for a server that does not have all of a position yet. After a
// fail-over that may be a replica that is still receiving; it may also be one
// that never will, which shows in that it comes no nearer.
type lag struct {
	mu       sync.Mutex
	waiting  bool
	distance uint64
	moved    time.Time // when the distance last shrank
}

// LagError says that the server does not have the position yet, and may get it.
// It is tried again.
type LagError struct {
	Addr, Missing string
	Transactions  uint64        // about how many are missing
	Left          time.Duration // until it counts as another history, unless it comes nearer
}

func (e *LagError) Error() string {
	return fmt.Sprintf("the server at %s does not have %s of the position yet (about %d transactions): waiting for it to receive them; "+
		"halting when none arrive for %s more", e.Addr, e.Missing, e.Transactions, e.Left.Round(time.Second))
}

// reached says whether the server has all of p: nil, a [LagError] when it may
// still receive the rest, or a halt.
func (r *Reader) reached(srv *Server, p checkpoint.Position) error {
	missing, distance, own := srv.lacks(p)
	if missing == "" {
		r.lag.end()
		return nil
	}
	left := time.Duration(0)
	if !own && r.cfg.FailoverWait > 0 {
		left = r.lag.left(distance, r.cfg.FailoverWait, time.Now())
	}
	if left > 0 {
		return &LagError{Addr: r.cfg.Addr, Missing: missing, Transactions: distance, Left: left}
	}
	r.lag.end()
	return halt(ErrForeign, hintForeign, "the server at %s%s does not have %s of the position %s; it has %q",
		r.cfg.Addr, other(srv, p), missing, p.Resume, srv.Executed)
}

// left is how much of the wait is left, which begins anew with each step nearer.
func (l *lag) left(distance uint64, wait time.Duration, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waiting || distance < l.distance {
		l.waiting, l.moved = true, now
	}
	l.distance = distance
	return wait - now.Sub(l.moved)
}

func (l *lag) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
}

// lacks says which part of p the server does not have, "" for none, and about
// how many transactions that are. own: some of them are its own, so that it has
// lost them and nobody will send them.
func (srv *Server) lacks(p checkpoint.Position) (missing string, distance uint64, own bool) {
	want := p.Resume.Clone()
	if p.Partial != nil {
		want.Add(p.Partial.GTID)
	}
	if srv.Flavor == checkpoint.MySQL {
		rest := want.Minus(srv.Executed).Minus(srv.owned)
		return rest.String(), rest.Count(), rest.HasOrigin(srv.UUID)
	}
	var list []string
	for _, member := range strings.Split(want.String(), ",") {
		g, err := checkpoint.ParseGTID(member)
		if err != nil || g.IsZero() {
			continue
		}
		if last := srv.last(g); last < g.N {
			list = append(list, member)
			distance += g.N - last
			own = own || srv.variables["server_id"] == strconv.FormatUint(uint64(g.Server), 10)
		}
	}
	return strings.Join(list, ","), distance, own
}

// last is the last number that MariaDB's binlog state has of a server in a domain.
func (srv *Server) last(g checkpoint.GTID) (n uint64) {
	for _, s := range srv.states {
		if s.Domain == g.Domain && s.Server == g.Server {
			n = max(n, s.N)
		}
	}
	return n
}
