package binlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// restate turns a file position into a set of GTIDs once gtid_mode is ON and both
// say the same: every group of the file, up to the end that it had when the mode
// was ON, has a GTID. No group without one can follow, and what comes before the
// file stands at its head. Until then reading goes on by file; it is tried on every
// connect and at the start of every file.
func (s *stream) restate(ctx context.Context) error {
	if !s.mayRestate() || s.srv.withoutGTIDs() {
		return nil
	}
	now, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer now.close()
	end, err := now.logEnd()
	if err != nil || end.File != s.at.Binlog.File { // there is more to read by file first
		return err
	}
	names, err := s.namesUpTo(ctx, end)
	if err != nil || names == nil {
		return err
	}
	srv, err := now.describe()
	if err != nil {
		return err
	}
	if names.set.IsEmpty() || !srv.Executed.ContainsSet(names.set) || !names.set.ContainsSet(srv.Purged) {
		return nil
	}
	p := checkpoint.Position{Flavor: s.at.Flavor, ServerUUID: s.at.ServerUUID, Resume: names.set,
		Last: names.last(s.at.Last), Read: names.last(s.at.Read)}
	s.log.Info("the server runs with GTIDs now: the position is a GTID set from here on", "before", s.at.Where(), "position", p.Where())
	return s.emit(&checkpoint.Transaction{Restated: &p})
}

// mayRestate: nothing of the position but its last transactions has a name by file.
func (s *stream) mayRestate() bool {
	p := s.at
	return !p.Binlog.IsZero() && p.Partial == nil && p.Snapshot == nil && len(p.XA) == 0 && s.plan == nil
}

// names are the GTIDs of the transactions before a file position.
type names struct {
	set checkpoint.GTIDSet
	by  map[checkpoint.GTID]checkpoint.GTID // of the asked ones in the last file, by place
}

// last is l under its GTID; nil when it is in an earlier file.
func (n *names) last(l *checkpoint.Last) *checkpoint.Last {
	if l == nil || n.by[l.GTID].IsZero() {
		return nil
	}
	named := *l
	named.GTID = n.by[l.GTID]
	return &named
}

// namesUpTo reads the file of the position from its head to end, without rows. It
// is nil when a group in it has no GTID.
func (s *stream) namesUpTo(ctx context.Context, end checkpoint.FilePosition) (*names, error) {
	n := &names{by: make(map[checkpoint.GTID]checkpoint.GTID)}
	for _, l := range []*checkpoint.Last{s.at.Last, s.at.Read} {
		if l != nil {
			n.by[l.GTID] = checkpoint.GTID{}
		}
	}
	p := newParser(flavorName(s.srv.Flavor), &tableSet{}, false)
	defer p.close()
	o := origin{at: newCursor(checkpoint.FilePosition{File: end.File, Offset: firstOffset})}
	err := s.dumpAs(ctx, anyServerID(), s.srv.Flavor, o, func(raw []byte) error {
		if f := s.cfg.Hooks.Received; f != nil {
			f(len(raw))
		}
		if err := n.add(p, o.at, raw, s.at.Binlog.Offset); err != nil {
			return err
		}
		if o.at.pos.File != end.File || o.at.pos.Offset >= end.Offset {
			return errReached
		}
		return nil
	})
	switch {
	case errors.Is(err, errReached):
		return n, nil
	case errors.Is(s.dumpError(err), ErrGTIDMode):
		return nil, nil
	}
	return nil, fmt.Errorf("read the GTIDs of binlog %s: %w", end.File, err)
}

// add takes the next event; only those count that name transactions.
func (n *names) add(p *parser, at *cursor, raw []byte, upto uint64) error {
	switch replication.EventType(raw[4]) {
	case replication.PREVIOUS_GTIDS_EVENT:
		if at.crc {
			raw = raw[:len(raw)-replication.BinlogChecksumLength]
		}
		set, err := previousGTIDs(raw[replication.EventHeaderSize:])
		n.set = set
		return err
	case replication.FORMAT_DESCRIPTION_EVENT, replication.GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT, replication.ANONYMOUS_GTID_EVENT:
	default:
		return nil
	}
	return p.parse(raw, func(ev *replication.BinlogEvent) error {
		var g checkpoint.GTID
		switch e := ev.Event.(type) {
		case *replication.GTIDEvent:
			g = mysqlGTID(e)
		case *replication.GtidTaggedLogEvent:
			g = mysqlGTID(&e.GTIDEvent)
		default:
			return nil
		}
		if ev.Header.EventType == replication.ANONYMOUS_GTID_EVENT {
			return halt(ErrGTIDMode, hintAnonymous, "the transaction at %s has no GTID", at.name())
		}
		if at.start < upto {
			n.set.Add(g)
			if _, asked := n.by[at.name()]; asked {
				n.by[at.name()] = g
			}
		}
		return nil
	})
}

// previousGTIDs reads the body of PREVIOUS_GTIDS. go-mysql's own event takes a tag
// for one of the server before.
func previousGTIDs(body []byte) (checkpoint.GTIDSet, error) {
	decoded, err := mysql.DecodeMysqlGTIDSet(body)
	if err != nil {
		return checkpoint.GTIDSet{}, unparsable(err)
	}
	set, err := checkpoint.ParseGTIDSet(decoded.String())
	if err != nil {
		return set, unparsable(err)
	}
	return set, nil
}
