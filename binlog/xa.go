package binlog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

const hintXA = "Publish its outbox rows by hand if it wrote any, and " + goOnBehind + "; " +
	"keep binlogs longer than XA transactions stay prepared"

// parking holds the rows of prepared XA transactions until their outcome. It is
// a cache: what is not in it is read again, by a connection beside the stream's.
type parking struct {
	by     map[string]*prepared
	bytes  int
	warned time.Time
}

// settle takes what a group prepares, and drops what it decides.
func (k *parking) settle(g *group, limit int) {
	k.drop(g.decided)
	p := g.prepared
	if p == nil {
		return
	}
	k.drop(p.xid)
	if p.rows == 0 || p.fault != nil || k.bytes+p.bytes > limit {
		return
	}
	k.hold(p)
}

func (k *parking) hold(p *prepared) {
	if k.by == nil {
		k.by = make(map[string]*prepared)
	}
	k.by[p.xid] = p
	k.bytes += p.bytes
}

func (k *parking) drop(xid string) {
	if p := k.by[xid]; p != nil {
		k.bytes -= p.bytes
		delete(k.by, xid)
	}
}

// undecided is what a position keeps of an XA PREPARE.
func (s *stream) undecided(g *group) *checkpoint.XA {
	if g.prepared == nil {
		return nil
	}
	x := &checkpoint.XA{XID: g.prepared.xid, GTID: g.gtid, Since: g.committed, Rows: g.prepared.rows}
	if x.Rows > 0 {
		x.Before, _ = s.at.Resume.Domain(g.gtid.Domain)
	}
	g.prepared.from = x
	return x
}

// unpark gives an XA COMMIT the rows of its XA PREPARE, or a plan to read them
// by, and returns where those are; nil when there are none.
func (s *stream) unpark(ctx context.Context, g *group) (from *checkpoint.XA, err error) {
	if !g.commits {
		return nil, nil
	}
	p := s.xa.by[g.decided]
	if p == nil {
		if p, err = s.find(ctx, g); err != nil || p == nil {
			return nil, err
		}
	}
	if p.fault != nil {
		return nil, p.fault
	}
	for i := range p.held {
		g.hold(&p.held[i])
	}
	g.rows, g.plan = p.rows, p.plan
	return p.from, nil
}

// find reads the rows of an XA transaction that g commits; nil: there are none.
func (s *stream) find(ctx context.Context, g *group) (*prepared, error) {
	from := new(checkpoint.XA)
	x, known := s.at.Undecided(g.decided)
	switch {
	case known && x.Rows == 0:
		return nil, nil
	case known:
		*from = x
	default:
		var err error
		if from, err = s.locate(ctx, g); err != nil || from == nil {
			return nil, err
		}
	}
	a := &assembler{tables: &s.tables, decode: newDecoder(s.mapping), limit: s.cfg.MaxTransactionBytes}
	p, err := s.readPrepared(ctx, from, g, a)
	if err != nil {
		return nil, err
	}
	p.from = from
	s.xa.hold(p) // the connection may be lost before all of it is yielded
	return p, nil
}

// unparkParts yields an XA transaction that is too large to hold.
func (s *stream) unparkParts(ctx context.Context, from *checkpoint.XA, g *group, parts *partition) error {
	parts.begin(g.gtid, g.committed, g.rows)
	a := &assembler{tables: &s.tables, decode: newDecoder(s.mapping), second: g.plan, part: parts.add}
	if _, err := s.readAside(ctx, from, g, a); err != nil {
		return err
	}
	return parts.end(g)
}

// readPrepared reads the rows of an XA PREPARE again, for its XA COMMIT g.
func (s *stream) readPrepared(ctx context.Context, x *checkpoint.XA, g *group, a *assembler) (*prepared, error) {
	s.log.Info("reading the rows of a prepared XA transaction again", "xid", x.XID, "prepared", x.GTID.String(), "committed", g.gtid.String())
	found, err := s.readAside(ctx, x, g, a)
	if err != nil {
		return nil, err
	}
	if found.prepared == nil {
		return nil, halt(ErrXA, hintXA, "transaction %s does not prepare XA %s, which %s commits: the server's history changed", x.GTID, x.XID, g.gtid)
	}
	return found.prepared, nil
}

// readAside has a read the group of x, by a connection of its own.
func (s *stream) readAside(ctx context.Context, x *checkpoint.XA, g *group, a *assembler) (found *group, err error) {
	err = s.aside(ctx, s.behind(x), a, &s.tables, func(each *group) error {
		if each.gtid == x.GTID {
			found = each
		}
		if found != nil || each.gtid == g.gtid {
			return errReached
		}
		return nil
	})
	if err == nil && found == nil {
		err = halt(ErrXA, hintXA, "the binlog does not hold transaction %s", x.GTID)
	}
	var halted *checkpoint.HaltError
	if errors.As(err, &halted) {
		return nil, halt(constErrors{ErrXA, err}, hintXA, "transaction %s commits XA %s, prepared by %s", g.gtid, x.XID, x.GTID)
	}
	return found, err
}

// behind is the position to dump from so that the group of x comes first.
func (s *stream) behind(x *checkpoint.XA) checkpoint.Position {
	if x.GTID.File != "" {
		return placeOf(x.GTID)
	}
	if s.srv.Flavor == checkpoint.MariaDB {
		set := s.at.Resume.Without(x.GTID.Domain)
		if !x.Before.IsZero() {
			set.Add(x.Before)
		}
		return checkpoint.Position{Resume: set}
	}
	var one checkpoint.GTIDSet
	one.Add(x.GTID)
	return checkpoint.Position{Resume: s.at.Resume.Minus(one)}
}

// aside reads groups behind a position until each says [errReached], while the
// stream's own connection waits.
func (s *stream) aside(ctx context.Context, pos checkpoint.Position, a *assembler, tables *tableSet, each func(*group) error) error {
	from := originOf(pos)
	a.at = from.at
	p := newParser(flavorName(s.srv.Flavor), tables, a.seen != nil)
	defer p.close()
	err := s.dumpAs(ctx, anyServerID(), s.srv.Flavor, from, func(raw []byte) error {
		s.received(raw)
		return p.parse(raw, func(ev *replication.BinlogEvent) error {
			g, err := a.add(ev)
			if err != nil || g == nil {
				return err
			}
			return each(g)
		})
	})
	if errors.Is(err, errReached) {
		return nil
	}
	return s.dumpError(err)
}

// locate looks through all of the binlog for the XA PREPARE of what g commits:
// it was prepared before the position that the source was begun at, or fell out
// of the list. nil: there is none, and none can have been purged.
func (s *stream) locate(ctx context.Context, g *group) (found *checkpoint.XA, err error) {
	s.log.Warn("an XA transaction commits that was prepared before the position: looking through the binlog for its rows",
		"xid", g.decided, "gtid", g.gtid.String())
	oldest, whole, err := s.oldestNow(ctx)
	if err != nil {
		return nil, err
	}
	at := oldest.Resume.Clone()
	none := tableSet{}
	a := &assembler{tables: &none, decode: newDecoder(s.mapping)}
	err = s.aside(ctx, oldest, a, &none, func(each *group) error {
		switch {
		case each.gtid == g.gtid:
			return errReached
		case each.prepared != nil && each.prepared.xid == g.decided:
			found = &checkpoint.XA{XID: g.decided, GTID: each.gtid, Since: each.committed}
			found.Before, _ = at.Domain(each.gtid.Domain)
		case each.decided == g.decided:
			found = nil
		}
		at.Add(each.gtid)
		return nil
	})
	var halted *checkpoint.HaltError
	switch {
	case errors.As(err, &halted):
		return nil, halt(constErrors{ErrXA, err}, hintXA, "transaction %s commits XA %s, whose XA PREPARE could not be looked for", g.gtid, g.decided)
	case err == nil && found == nil && !whole:
		return nil, halt(constErrors{ErrXA, ErrPurged}, hintXA, "transaction %s commits XA %s, which was prepared in a binlog that is purged", g.gtid, g.decided)
	}
	return found, err
}

// oldestNow is the position before the oldest transaction that the server has now:
// logs may have been purged since the connection was opened. whole says that none was.
func (s *stream) oldestNow(ctx context.Context) (p checkpoint.Position, whole bool, err error) {
	if !s.at.Binlog.IsZero() {
		logs, err := s.logFiles(ctx)
		if err != nil {
			return p, false, err
		}
		p.Binlog = checkpoint.FilePosition{File: logs[0].name, Offset: firstOffset}
		return p, p.Binlog.Number() == 1, nil
	}
	c, err := s.connect(ctx)
	if err != nil {
		return p, false, err
	}
	defer c.close()
	srv, err := c.describe()
	if err != nil {
		return p, false, err
	}
	p.Resume, err = s.oldest(ctx, srv)
	return p, p.Resume.IsEmpty(), err
}

// purgedXA: the rows of every undecided XA transaction must still be there.
func purgedXA(gone checkpoint.GTIDSet, p checkpoint.Position) error {
	for _, x := range p.XA {
		if x.Rows > 0 && gone.Contains(x.GTID) {
			return lostXA(x)
		}
	}
	return nil
}

func lostXA(x checkpoint.XA) error {
	return halt(constErrors{ErrXA, ErrPurged}, hintXA+". XA RECOVER on the server says whether it is still undecided",
		"XA %s, prepared at %s by %s with %d outbox rows, is undecided, and the server no longer has these rows",
		x.XID, x.Since.Format(time.RFC3339), x.GTID, x.Rows)
}

// An XA transaction that is undecided for longer than longXA is warned of, that often.
const longXA = 5 * time.Minute

// warnUndecided names the oldest XA transaction that keeps outbox rows back.
func (s *stream) warnUndecided() {
	if len(s.at.XA) == 0 {
		return
	}
	now := time.Now()
	if now.Sub(s.xa.warned) < longXA {
		return
	}
	i := slices.IndexFunc(s.at.XA, func(x checkpoint.XA) bool { return x.Rows > 0 && now.Sub(x.Since) >= longXA })
	if i < 0 {
		return
	}
	s.xa.warned = now
	x := s.at.XA[i]
	s.log.Warn("an XA transaction stays undecided: its outbox rows are published when it commits, and its locks are held until then",
		"xid", x.XID, "gtid", x.GTID.String(), "since", x.Since, "rows", x.Rows, "undecided", len(s.at.XA),
		"next", "XA RECOVER on the server, then XA COMMIT or XA ROLLBACK; its binlog must be kept until then")
}
