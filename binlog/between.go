package binlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// maxBetween bounds the IDs that are kept to take up a cut snapshot.
const maxBetween = 2_000_000

var errReached = constError("the position is reached")

const hintRowsTaken = "Publish by hand what is gone if its events matter, then " + startAnew + ", which takes a new snapshot and repeats the rows of this one; " +
	"do not prune an outbox table before its snapshot is published"

// between reads the binlog from the position of a cut snapshot to that of a new
// one, and returns the rows that were inserted on the way: they are in the new
// snapshot and were not in the old one.
func (s *stream) between(ctx context.Context, view *session, upto checkpoint.Position) (map[table]map[rowKey]bool, error) {
	if past(s.at, upto) {
		return nil, nil
	}
	w := &window{stream: s, ids: make(map[table]map[rowKey]bool), prepared: make(map[string]*prepared), progress: *s.at.Snapshot}
	if err := w.orders(view); err != nil {
		return nil, err
	}
	s.log.Info("a snapshot was cut: reading what came after it", "from", s.at.Where(), "to", upto.Where())
	p := newParser(flavorName(s.srv.Flavor), &s.tables, true)
	defer p.close()
	from := originOf(s.at)
	a := &assembler{tables: &s.tables, decode: newDecoder(s.mapping), limit: math.MaxInt, at: from.at, seen: w.seen, rowless: w.rowless}
	at := checkpoint.Position{Resume: s.at.Resume.Clone()}
	err := s.dump(ctx, s.srv.Flavor, from, func(raw []byte) error {
		s.received(raw)
		err := p.parse(raw, func(ev *replication.BinlogEvent) error {
			g, err := a.add(ev)
			if err != nil {
				return err
			}
			if g == nil {
				return w.check(a.next)
			}
			if err := w.xa(ctx, g); err != nil {
				return err
			}
			at.Resume.Add(g.gtid)
			return w.check(0)
		})
		if from.at != nil {
			at.Binlog = from.at.pos
		}
		if err == nil && past(at, upto) {
			return errReached
		}
		return err
	})
	if w.err != nil {
		return nil, w.err
	}
	if !errors.Is(err, errReached) {
		return nil, s.dumpError(err)
	}
	return w.ids, nil
}

// past reports whether at is at upto or behind it.
func past(at, upto checkpoint.Position) bool {
	if upto.Binlog.IsZero() {
		return at.Resume.ContainsSet(upto.Resume)
	}
	return !at.Binlog.Before(upto.Binlog)
}

// window is what happened to the tables between two snapshots.
type window struct {
	*stream
	ids      map[table]map[rowKey]bool
	prepared map[string]*prepared // XA transactions, by XID
	count    int
	progress checkpoint.Snapshot
	binary   map[string]bool // tables whose ID sorts by its bytes
	swapped  map[string]bool // those of them whose bytes are UUIDs in another order than their text
	timed    map[table]bool  // tables whose ID is unique only together with created_at
	err      error
}

// orders asks which tables sort their IDs by bytes.
func (w *window) orders(view *session) error {
	w.binary, w.swapped, w.timed = make(map[string]bool), make(map[string]bool), make(map[table]bool)
	for _, t := range w.tables.list {
		key, err := w.keyOf(view, t)
		if err != nil {
			return err
		}
		w.timed[t] = key == byIDAndTime
		rows, err := view.rows(fmt.Sprintf("SELECT DATA_TYPE, COALESCE(COLLATION_NAME,'') FROM information_schema.COLUMNS "+
			"WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s' AND LOWER(COLUMN_NAME)=?", t.schema, t.name), strings.ToLower(w.mapping.ID))
		if err != nil {
			return err
		}
		w.binary[t.String()] = len(rows) == 1 && sortsByBytes(rows[0][0], rows[0][1])
		w.swapped[t.String()] = w.mapping.swapped && len(rows) == 1 && strings.EqualFold(rows[0][0], "binary")
	}
	return nil
}

// sortsByBytes: MariaDB's UUID, which has no collation either, does not.
func sortsByBytes(dataType, collation string) bool {
	switch strings.ToLower(dataType) {
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return true
	}
	return strings.HasSuffix(collation, "_bin")
}

// published: the row was of a page that was yielded.
func (w *window) published(t table, id string, at time.Time) bool {
	if t.String() != w.progress.Table || !w.binary[t.String()] {
		return false
	}
	if id == w.progress.After && !w.progress.AfterAt.IsZero() {
		return !at.After(w.progress.AfterAt)
	}
	if w.swapped[t.String()] {
		return bytes.Compare(UUIDBytes(id, true), UUIDBytes(w.progress.After, true)) <= 0
	}
	return id <= w.progress.After
}

func (w *window) seen(t table, id string, at time.Time, deleted bool) {
	if slices.Contains(w.progress.Done, t.String()) {
		return
	}
	if !deleted {
		if w.ids[t] == nil {
			w.ids[t] = make(map[rowKey]bool)
		}
		w.ids[t][keyOfRow(id, at, w.timed[t])] = true
		w.count++
		return
	}
	if !w.ids[t][keyOfRow(id, at, w.timed[t])] && !w.published(t, id, at) && w.err == nil {
		w.err = halt(nil, hintRowsTaken,
			"row %q of table %s was deleted after the snapshot began and before it was published", id, t)
	}
}

// rowless finds statements that took rows away which were not published yet. The
// binlog does not say which.
func (w *window) rowless(schema, query string) {
	what := removes(query)
	if what == "" || w.err != nil {
		return
	}
	names := tableNames(query)
	for _, t := range w.tables.list {
		if slices.Contains(w.progress.Done, t.String()) || !t.concerned(what, schema, names) {
			continue
		}
		w.err = halt(nil, hintRowsTaken, "rows of table %s may be gone that were not published yet: %s after the snapshot began and before its end (%.200q)", t, what, query)
	}
}

// xa counts the rows of an XA transaction where it commits.
func (w *window) xa(ctx context.Context, g *group) error {
	if g.prepared != nil {
		w.prepared[g.prepared.xid] = g.prepared
		w.count += len(g.prepared.held) // bounds what is held of them, too
		return nil
	}
	p := w.prepared[g.decided]
	delete(w.prepared, g.decided)
	if !g.commits {
		return nil
	}
	if p == nil {
		x, err := w.locate(ctx, g)
		if err != nil || x == nil {
			return err
		}
		ids := &assembler{tables: &w.tables, decode: newDecoder(w.mapping), limit: math.MaxInt, seen: w.seen}
		if p, err = w.readPrepared(ctx, x, g, ids); err != nil {
			return err
		}
	}
	if p.fault != nil {
		return p.fault
	}
	for _, r := range p.held {
		w.seen(*r.table, r.msg.ID, r.msg.CreatedAt, r.deleted)
	}
	return nil
}

func (w *window) check(open int) error {
	if w.err == nil && w.count+open > maxBetween {
		w.err = halt(nil, "To take a new snapshot, "+startAnew+"; rows of this one that are published come again",
			"a snapshot was cut, and more than %d rows were inserted since: they can't be told from those of the snapshot", maxBetween)
	}
	return w.err
}
