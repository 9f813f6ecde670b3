package binlog

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// rereadTimeout bounds the reading of one transaction again. The server may have
// to look through a whole binlog file for it.
const rereadTimeout = time.Minute

// errOther: the server has another transaction where the wanted one should be.
var errOther = constError("another transaction is in its place")

// verifyLast reads the last transactions of p again and compares them with what
// was recorded of them. A server that crashed with sync_binlog other than 1
// forgets its last transactions and gives their numbers to others, and a GTID set
// alone can't tell. What is purged can't be compared, and passes.
func (r *Reader) verifyLast(ctx context.Context, srv *Server, p checkpoint.Position) error {
	if unread(p) {
		return nil
	}
	for _, last := range []*checkpoint.Last{p.Last, p.Read} {
		if last == nil || srv.Purged.Contains(last.GTID) || last.GTID.File != "" && moved(srv, p) {
			continue
		}
		if err := r.verifyOne(ctx, srv, p, last); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) verifyOne(ctx context.Context, srv *Server, p checkpoint.Position, last *checkpoint.Last) error {
	limited, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	re := &reread{Reader: r, srv: srv, want: last.GTID, from: before(srv, p, last)}
	err := re.read(limited)
	switch {
	case errors.Is(err, ErrPurged), errors.Is(err, ErrGTIDMode):
		r.log.Debug("the last transaction can't be verified", "gtid", last.GTID.String(), "error", err)
		return nil
	case last.GTID.File != "" && isElse(err):
		return halt(constErrors{ErrRewritten, err}, hintLostFiles, "transaction %s is in the stream as %s, but the server at %s%s can't read it there",
			last.GTID, describe(last), r.cfg.Addr, other(srv, p))
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		return fmt.Errorf("read transaction %s again, to verify it: nothing within %s", last.GTID, rereadTimeout)
	case err != nil:
		return fmt.Errorf("read transaction %s again, to verify it: %w", last.GTID, err)
	}
	re.opaque = re.opaque || last.View != r.view // its rows may differ
	if re.got.GTID == last.GTID && (re.got.Committed.Equal(last.Committed) || !timesCompare(srv, p)) &&
		(re.opaque || re.got.Rows == last.Rows && re.got.Hash == last.Hash) {
		return nil
	}
	hint := hintRewritten
	if last.GTID.File != "" {
		hint = hintLostFiles
	}
	now := describe(&re.got)
	if re.opaque {
		now = "it was committed at " + stamp(re.got.Committed)
	}
	return halt(ErrRewritten, hint, "transaction %s is in the stream as %s, but on the server at %s%s %s",
		last.GTID, describe(last), r.cfg.Addr, other(srv, p), now)
}

// timesCompare: MySQL replicates the time of a commit with it; MariaDB does not say
// that it does, so there it counts on the server that it was read from.
func timesCompare(srv *Server, p checkpoint.Position) bool {
	return srv.Flavor == checkpoint.MySQL || p.ServerUUID != "" && p.ServerUUID == srv.UUID
}

// describe says all that is compared.
func describe(l *checkpoint.Last) string {
	return fmt.Sprintf("%s with %d outbox rows (checksum %08x), committed at %s", l.GTID, l.Rows, l.Hash, stamp(l.Committed))
}

// viewOf is never 0, which is that of records without one. A change of what rows
// are decoded to has to change it.
func viewOf(m mapping, tables []table) uint32 {
	names := []string{"2", m.ID, m.Payload}
	if m.swapped {
		names[0] += UUIDSwapped
	}
	for _, t := range tables {
		names = append(names, t.String())
	}
	slices.Sort(names[3:])
	return crc32.ChecksumIEEE([]byte(strings.Join(names, "\x00"))) | 1
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999 UTC") }

// isElse: where a transaction began there is something else now.
func isElse(err error) bool {
	var halted *checkpoint.HaltError
	return errors.As(err, &halted) || serverCode(err) == mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG
}

// before is a position from which the server sends last first.
func before(srv *Server, p checkpoint.Position, last *checkpoint.Last) checkpoint.Position {
	if last.GTID.File != "" {
		return placeOf(last.GTID)
	}
	var it checkpoint.GTIDSet
	it.Add(last.GTID)
	if srv.Flavor == checkpoint.MySQL {
		return checkpoint.Position{Resume: srv.Executed.Minus(it)}
	}
	from := p.Resume.Without(last.GTID.Domain)
	if !last.Before.IsZero() {
		from.Add(last.Before)
	}
	return checkpoint.Position{Resume: from}
}

// placeOf is the position before a transaction that is named by its place.
func placeOf(g checkpoint.GTID) checkpoint.Position {
	return checkpoint.Position{Binlog: checkpoint.FilePosition{File: g.File, Offset: g.N}}
}

// reread reads one transaction again.
type reread struct {
	*Reader
	srv  *Server
	want checkpoint.GTID
	from checkpoint.Position

	got    checkpoint.Last
	opaque bool // only GTID and time of it could be read
	plan   *plan
	sum    hashes
}

func (re *reread) read(ctx context.Context) error {
	for {
		err := re.once(ctx)
		switch {
		case errors.Is(err, errAgain): // it is too large to hold
			continue
		case errors.Is(err, errReached), errors.Is(err, errOther):
			return nil
		}
		return (&stream{Reader: re.Reader, at: re.from}).dumpError(err)
	}
}

func (re *reread) once(ctx context.Context) error {
	p := newParser(flavorName(re.srv.Flavor), &re.tables, false)
	defer p.close()
	from := originOf(re.from)
	a := &assembler{tables: &re.tables, decode: newDecoder(re.mapping), limit: re.cfg.MaxTransactionBytes, at: from.at,
		second: re.plan, part: re.part}
	// MariaDB ends the older of two connections of one server ID, which may be a leader's.
	return re.dumpAs(ctx, anyServerID(), re.srv.Flavor, from, func(raw []byte) error {
		return p.parse(raw, func(ev *replication.BinlogEvent) error {
			g, err := a.add(ev)
			switch {
			case err != nil && a.gtid == re.want:
				// It was passed before, and the rows of it are told elsewhere: XA.
				re.got, re.opaque = checkpoint.Last{GTID: a.gtid, Committed: a.opened}, true
				return errReached
			case err != nil || g == nil:
				return err
			}
			return re.take(g)
		})
	})
}

func (re *reread) part(m binjet.Message, _ *RowError, _ time.Time) error {
	re.sum.add(&m)
	return nil
}

func (re *reread) take(g *group) error {
	switch {
	case g.gtid != re.want:
		if g.gtid.Flavor == checkpoint.MariaDB && g.gtid.Domain == re.want.Domain && g.gtid.N >= re.want.N {
			re.got = lastOf(g)
			return errOther
		}
		return nil
	case g.planned:
		re.got = checkpoint.Last{GTID: g.gtid, Committed: g.committed, Rows: g.rows, Hash: re.sum.sum}
	case g.plan != nil:
		re.plan = g.plan
		return errAgain
	default:
		re.got = lastOf(g)
	}
	return errReached
}

func lastOf(g *group) checkpoint.Last {
	return checkpoint.Last{GTID: g.gtid, Committed: g.committed, Rows: g.rows, Hash: new(hashes).of(g.messages)}
}
