package binlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// head is what the first events of a binlog file say.
type head struct {
	begun  time.Time
	before checkpoint.GTIDSet // all transactions of earlier files; for MariaDB the last ones
}

// headOf reads the head of a file, as a replica that begins there.
func (r *Reader) headOf(ctx context.Context, flavor checkpoint.Flavor, file string) (h head, err error) {
	if flavor == checkpoint.MariaDB {
		h, err = r.headOfMariaDB(ctx, file)
	} else {
		h, err = r.headOfMySQL(ctx, file)
	}
	if err != nil {
		return h, fmt.Errorf("read the head of binlog %s: %w", file, err)
	}
	return h, nil
}

func (r *Reader) headOfMySQL(ctx context.Context, file string) (h head, err error) {
	o := origin{at: newCursor(checkpoint.FilePosition{File: file, Offset: firstOffset})}
	err = r.dumpAs(ctx, anyServerID(), checkpoint.MySQL, o, func(raw []byte) (err error) {
		if replication.EventType(raw[4]) != replication.PREVIOUS_GTIDS_EVENT {
			return nil
		}
		if o.at.crc {
			raw = raw[:len(raw)-replication.BinlogChecksumLength]
		}
		if h.before, err = previousGTIDs(raw[replication.EventHeaderSize:]); err != nil {
			return err
		}
		return errListed
	})
	h.begun = o.at.pos.Created
	if errors.Is(err, errListed) {
		err = nil
	}
	return h, err
}

func (r *Reader) headOfMariaDB(ctx context.Context, file string) (h head, err error) {
	p := newParser(mysql.MariaDBFlavor, &r.tables, false)
	defer p.close()
	err = r.replicate(ctx, checkpoint.MariaDB, anyServerID(), request{file: file, offset: firstOffset}, func(raw []byte) error {
		if replication.EventType(raw[4]) == replication.FORMAT_DESCRIPTION_EVENT {
			h.begun = time.Unix(int64(binary.LittleEndian.Uint32(raw)), 0).UTC()
		}
		return p.parse(raw, func(ev *replication.BinlogEvent) error {
			list, ok := ev.Event.(*replication.MariadbGTIDListEvent)
			if !ok {
				return nil
			}
			for _, g := range list.GTIDs { // the last of a domain is its latest
				h.before.Add(checkpoint.GTID{Flavor: checkpoint.MariaDB, Domain: g.DomainID, Server: g.ServerID, N: g.SequenceNumber})
			}
			return errListed
		})
	})
	if errors.Is(err, errListed) {
		err = nil
	}
	return h, err
}

// OldestBinlog is when the server began the oldest binlog that it has. REPLICATION
// SLAVE is enough, but MariaDB writes a line into its error log for each dump that
// begins, and this is one: ask rarely.
func (r *Reader) OldestBinlog(ctx context.Context) (begun time.Time, err error) {
	s, err := r.connect(ctx)
	if err != nil {
		return begun, err
	}
	flavor := flavorOf(s.GetServerVersion())
	s.close()
	oldest := request{offset: firstOffset}
	err = r.replicate(ctx, flavor, anyServerID(), oldest, func(raw []byte) error {
		if replication.EventType(raw[4]) != replication.FORMAT_DESCRIPTION_EVENT {
			return nil
		}
		begun = time.Unix(int64(binary.LittleEndian.Uint32(raw)), 0).UTC()
		return errListed
	})
	if !errors.Is(err, errListed) {
		return begun, fmt.Errorf("read the head of the oldest binlog of %s: %w", r.cfg.Addr, err)
	}
	return begun, nil
}

// locateNeeded finds the oldest file that reading from p on needs: the newest one
// before which there is nothing that p lacks.
func (r *Reader) locateNeeded(ctx context.Context, v *Survey, p checkpoint.Position) error {
	begun := func(i int) (h head, err error) {
		h, err = r.headOf(ctx, v.Flavor, v.Logs[i].Name)
		v.Logs[i].Begun = h.begun
		return h, err
	}
	v.Needed = -1
	low, high := 0, len(v.Logs) // the wanted one is below high
	for low < high {
		middle := (low + high) / 2
		covered, err := coveredBy(v.Logs[middle].Name, p, func() (head, error) { return begun(middle) })
		if err != nil {
			return err
		}
		if covered {
			v.Needed, low = middle, middle+1
		} else {
			high = middle
		}
	}
	for _, i := range []int{v.Needed, v.Needed + 1} { // the age of a file is that of its end
		if v.Needed >= 0 && i < len(v.Logs) && v.Logs[i].Begun.IsZero() {
			if _, err := begun(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// coveredBy: nothing before a file has to be read from p on.
func coveredBy(file string, p checkpoint.Position, read func() (head, error)) (bool, error) {
	if !p.Binlog.IsZero() {
		needed := checkpoint.FilePosition{File: p.Binlog.File}
		for _, x := range p.XA {
			if at := (checkpoint.FilePosition{File: x.GTID.File}); x.Rows > 0 && at.Before(needed) {
				needed = at
			}
		}
		return !needed.Before(checkpoint.FilePosition{File: file}), nil
	}
	h, err := read()
	if err != nil {
		return false, err
	}
	return needs(p).ContainsSet(h.before), nil
}

// needs is the position less what an undecided XA transaction has to be read again for.
func needs(p checkpoint.Position) checkpoint.GTIDSet {
	set := p.Resume.Clone()
	for _, x := range p.XA {
		if x.Rows == 0 {
			continue
		}
		if x.GTID.Flavor == checkpoint.MariaDB {
			if last, ok := set.Domain(x.GTID.Domain); ok && last.N < x.GTID.N {
				continue // an older one was there before
			}
			set = set.Without(x.GTID.Domain)
			if !x.Before.IsZero() {
				set.Add(x.Before)
			}
			continue
		}
		var one checkpoint.GTIDSet
		one.Add(x.GTID)
		set = set.Minus(one)
	}
	return set
}
